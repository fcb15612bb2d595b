"""The middleware: a trail for each request, and its data ID and token on the way out (layer 5).

Pure ASGI. It touches nothing of a response but two headers, and only those of responses that made,
or are about to stream, a generation.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterword.asgi.heads import CONTENT_LENGTH, announceable, announcing, told_by
from afterword.asgi.issuing import Issuer, get_issuer, set_issuer
from afterword.asgi.tokens import DEFAULT_TTL_S, MAX_TTL_S
from afterword.client import Client
from afterword.context import Trail, get_active, set_active
from afterword.delivery.faults import Faults
from afterword.delivery.lifetimes import EXIT_S
from afterword.errors import ConfigError

_SECRET_WAIT_S = 0.5

#: Faults met while there is no client to count them.
_homeless = Faults()


class FeedbackMiddleware:
    """Wrap an ASGI app so that browsers can give feedback on the generations it makes.

    `user` and `session` get the ASGI scope and return the name of the end user and of the session,
    or None; they are called when first needed, and may not be async. `token_ttl_s` is how long
    tokens last, 30 days at most. `types` are the feedback types tokens allow; all when left out.
    `client` defaults to the default client. Safe for any number of concurrent requests.

    Raises:
        ConfigError: an option is not usable.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        user: Callable[[Scope], str | None] | None = None,
        session: Callable[[Scope], str | None] | None = None,
        token_ttl_s: int = DEFAULT_TTL_S,
        types: Sequence[str] | None = None,
        client: Client | None = None,
    ) -> None:
        for name, option in (("user", user), ("session", session)):
            if option is not None and not _is_plain_callable(option):
                raise ConfigError(f"{name} must be a plain callable that takes the ASGI scope")
        if type(token_ttl_s) is not int or not 0 < token_ttl_s <= MAX_TTL_S:
            raise ConfigError(f"token_ttl_s must be a whole number from 1 to {MAX_TTL_S}")
        if isinstance(types, str):
            raise ConfigError("types must be a list of names")
        self.app = app
        self._user = user
        self._session = session
        self._issuer = Issuer(client, ttl_s=token_ttl_s, types=types)
        issuer = self._issuer
        #: Gives data IDs with tokens made ahead, where these name nobody.
        self._draw = issuer.draw if user is session is None and issuer.draws else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            issuer_before = get_issuer()
            set_issuer(self._issuer)
            try:
                is_lifespan = scope["type"] == "lifespan"
                await self.app(scope, receive, self._parting(send) if is_lifespan else send)
            finally:
                set_issuer(issuer_before)
            return
        trail = Trail(
            user=None if self._user is None else self._asker("user", self._user, scope),
            session=None if self._session is None else self._asker("session", self._session, scope),
        )
        trail.draw = self._draw

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                trail.client_gone = True
            return message

        is_sized = False

        def announce(message: Message) -> Awaitable[None]:
            nonlocal is_sized
            if message["type"] == "http.response.start":
                try:
                    headers = message.get("headers", ())
                    if not isinstance(headers, (list, tuple)):
                        # ASGI does not ask for more than that they can be read once.
                        headers = list(headers)
                        message = {**message, "headers": headers}
                    told = told_by(headers)
                    is_sized = CONTENT_LENGTH in told
                    data_id = announceable(message, scope, told, trail)
                    if data_id is not None:
                        issuer = self._issuer
                        if not issuer.is_ready:
                            return self._announce_later(message, scope, told, data_id, trail, send)
                        token = issuer.token(trail, data_id)
                        message = announcing(message, scope, told, data_id, token)
                except Exception as error:
                    self._note("announcing a generation", error)
            # Who awaits the server itself has one step less; only streams must know who left.
            return send(message) if is_sized else _watched(send, message, trail)

        issuer_before, before = get_issuer(), get_active()
        set_issuer(self._issuer)
        set_active(trail)
        try:
            await self.app(scope, listen, announce)
        finally:
            trail.done = True
            if get_active() is trail:
                set_active(before)
            set_issuer(issuer_before)

    def _parting(self, send: Send) -> Send:
        """Bring what is still in memory to safety at shutdown: some servers end by a signal right after it."""

        async def part(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                try:
                    flush = self._issuer.client.flush
                    await anyio.to_thread.run_sync(flush, EXIT_S, abandon_on_cancel=True)
                except Exception as error:
                    self._note("flushing at shutdown", error)
            await send(message)

        return part

    def _asker(
        self, name: str, ask: Callable[[Scope], str | None], scope: Scope
    ) -> Callable[[], str | None]:
        def asked() -> str | None:
            try:
                return _name(ask(scope))
            except Exception as error:
                self._note(f"the middleware's {name}", error)
                return None

        return asked

    async def _announce_later(
        self,
        message: Message,
        scope: Scope,
        told: dict[bytes, bytes],
        data_id: str,
        trail: Trail,
        send: Send,
    ) -> None:
        """Ask the store for the secret first; a response does not wait for a store that is away."""
        try:
            client = self._issuer.client
            with anyio.move_on_after(_SECRET_WAIT_S):
                await anyio.to_thread.run_sync(client.keyring, abandon_on_cancel=True)
            token = self._issuer.token(trail, data_id) if client.has_keyring else None
            message = announcing(message, scope, told, data_id, token)
        except Exception as error:
            self._note("announcing a generation", error)
        await _watched(send, message, trail)

    def _note(self, what: str, error: Exception) -> None:
        try:
            faults = self._issuer.client.faults
        except ConfigError:
            faults = _homeless
        faults.note(what, error)


async def _watched(send: Send, message: Message, trail: Trail) -> None:
    """Send, and note it when the client turns out to have left."""
    try:
        await send(message)
    except OSError:
        trail.client_gone = True
        raise


def _is_plain_callable(option: Any) -> bool:
    if not callable(option):
        return False
    return not any(map(inspect.iscoroutinefunction, (option, option.__call__)))


def _name(found: Any) -> str | None:
    if found is None or found is False or found == "":
        return None
    if isinstance(found, (str, int, uuid.UUID)) and found is not True:
        return str(found)
    # Another object's text may hold its address, and make a new rater of each request.
    raise TypeError(f"expected text or None, got {type(found).__name__}")
