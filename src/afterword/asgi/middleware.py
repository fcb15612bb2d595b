"""The middleware: a trail for each request, and its data ID and token on the way out (layer 5).

Pure ASGI. It touches nothing of a response but two headers, and only those of responses that made,
or are about to stream, a generation.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterword.asgi.issuing import Issuer, get_issuer, set_issuer
from afterword.asgi.tokens import DEFAULT_TTL_S, MAX_TTL_S
from afterword.client import Client
from afterword.context import Trail, get_active, set_active
from afterword.delivery.faults import Faults
from afterword.delivery.lifetimes import EXIT_S
from afterword.errors import ConfigError

DATA_ID_HEADER = "Afterword-Data-Id"
TOKEN_HEADER = "Afterword-Feedback-Token"  # noqa: S105 - a header's name

_SECRET_WAIT_S = 0.5
_OURS = (DATA_ID_HEADER.lower().encode(), TOKEN_HEADER.lower().encode())
_EXPOSE = b"access-control-expose-headers"
_ALLOW_ORIGIN = b"access-control-allow-origin"
_CACHE_CONTROL = b"cache-control"
#: The headers that say whether and how to announce; the others are not looked at.
_TELLING = frozenset((*_OURS, _EXPOSE, _ALLOW_ORIGIN, _CACHE_CONTROL, b"content-length"))

Header = tuple[bytes, bytes]

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

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                trail.client_gone = True
            return message

        async def announce(message: Message) -> None:
            if message["type"] == "http.response.start":
                try:
                    message = _with_headers_to_read(message)
                    head = Head(message, scope)
                    data_id = head.announceable(trail)
                    if data_id is not None:
                        ready = self._issuer.client.has_keyring or await self._secret_came()
                        token = self._issuer.token(trail, data_id) if ready else None
                        message = head.announcing(data_id, token)
                except Exception as error:
                    self._note("announcing a generation", error)
            try:
                await send(message)
            except OSError:
                trail.client_gone = True
                raise

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

    async def _secret_came(self) -> bool:
        """Ask the store for the secret; a response does not wait for a store that is away."""
        client = self._issuer.client
        with anyio.move_on_after(_SECRET_WAIT_S):
            await anyio.to_thread.run_sync(client.keyring, abandon_on_cancel=True)
        return client.has_keyring

    def _note(self, what: str, error: Exception) -> None:
        try:
            faults = self._issuer.client.faults
        except ConfigError:
            faults = _homeless
        faults.note(what, error)


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


def _with_headers_to_read(message: Message) -> Message:
    """The message, its headers such that they can be read more than once, which ASGI does not ask for."""
    headers = message.get("headers", ())
    if isinstance(headers, (list, tuple)):
        return message
    return {**message, "headers": list(headers)}


class Head:
    """The start of a response, and what its headers tell of whether and how to announce."""

    __slots__ = ("_message", "_scope", "_telling")

    def __init__(self, message: Message, scope: Scope) -> None:
        self._message = message
        self._scope = scope
        self._telling: dict[bytes, bytes] = {}
        for name, value in message.get("headers", ()):
            lower = name.lower()
            if lower in _TELLING:
                before = self._telling.get(lower)
                self._telling[lower] = value if before is None else before + b"," + value

    def announceable(self, trail: Trail) -> str | None:
        """The data ID to announce; None when there is none, or the response is none that clients see fresh.

        What the app has announced itself stays.
        """
        status, telling = self._message["status"], self._telling
        if status < 200 or status in (204, 304) or self._scope["method"] == "HEAD":
            return None
        if _OURS[0] in telling or _OURS[1] in telling:
            return None
        if _CACHE_CONTROL in telling and _is_shared(telling[_CACHE_CONTROL]):
            return None
        if b"content-length" in telling:
            return trail.last
        return trail.upcoming or trail.last or trail.reserve()

    def announcing(self, data_id: str, token: str | None) -> Message:
        """The message with our headers, for pages of other origins too."""
        headers = [*self._message.get("headers", ()), (_OURS[0], data_id.encode("ascii"))]
        if token is not None:
            headers.append((_OURS[1], token.encode("ascii")))
        # A CORS middleware outside of this one adds its headers later.
        if _ALLOW_ORIGIN in self._telling or _comes_from_elsewhere(self._scope):
            _expose(headers, self._telling.get(_EXPOSE, b""))
        return {**self._message, "headers": headers}


def _is_shared(control: bytes) -> bool:
    """Whether a shared cache may give the response to others, by RFC 9111."""
    directives: dict[bytes, bytes] = {}
    for part in control.lower().split(b","):
        directive, _, argument = part.strip().partition(b"=")
        directives[directive] = argument.strip(b'"')
    if b"no-store" in directives or directives.get(b"private") == b"":
        return False
    lasting = directives.get(b"max-age", b"").strip(b"0 ") != b""
    return lasting or not directives.keys().isdisjoint((b"public", b"s-maxage", b"immutable"))


def _comes_from_elsewhere(scope: Scope) -> bool:
    origin = host = None
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    return origin is not None and origin.partition(b"://")[2] != host


def _expose(headers: list[Header], exposed: bytes) -> None:
    """Name our headers among those that pages of other origins may read."""
    named = {name.strip() for name in exposed.lower().split(b",")}
    # A star is no wildcard on requests with credentials, so ours are named beside it.
    missing = [
        name for name in (DATA_ID_HEADER, TOKEN_HEADER) if name.lower().encode() not in named
    ]
    if missing:
        added = ", ".join(missing).encode()
        for place, (name, value) in enumerate(headers):
            if name.lower() == _EXPOSE:
                headers[place] = (name, value + b", " + added)
                return
        headers.append((_EXPOSE, added))
