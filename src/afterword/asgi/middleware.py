"""The middleware: a trail for each request, and its data ID and token on the way out (layer 5).

Pure ASGI. It touches nothing of a response but two headers, and only those of responses that made,
or are about to stream, a generation.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterword.asgi.issuing import Issuer
from afterword.asgi.tokens import DEFAULT_TTL_S, MAX_TTL_S
from afterword.client import Client
from afterword.context import Trail, get_active, set_active
from afterword.errors import ConfigError

DATA_ID_HEADER = "Afterword-Data-Id"
TOKEN_HEADER = "Afterword-Feedback-Token"  # noqa: S105 - a header's name

_EXPOSED = f"{DATA_ID_HEADER}, {TOKEN_HEADER}".encode()
_OURS = (DATA_ID_HEADER.lower().encode(), TOKEN_HEADER.lower().encode())
_SHARED_CACHES = (b"public", b"s-maxage", b"immutable")

Header = tuple[bytes, bytes]


class FeedbackMiddleware:
    """Wrap an ASGI app so that browsers can give feedback on the generations it makes.

    `user` and `session` get the ASGI scope and name the end user and the session, or return None;
    they are called when first needed. `token_ttl_s` is how long tokens last, 30 days at most.
    `types` are the feedback types tokens allow; all when left out. `client` defaults to the default
    client. Safe for any number of concurrent requests.

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
            if option is not None and not callable(option):
                raise ConfigError(f"{name} must be a callable that takes the ASGI scope")
        if not 0 < token_ttl_s <= MAX_TTL_S:
            raise ConfigError(f"token_ttl_s must be from 1 to {MAX_TTL_S}")
        if isinstance(types, str):
            raise ConfigError("types must be a list of names")
        self.app = app
        self._user = user
        self._session = session
        self._issuer = Issuer(client, ttl_s=token_ttl_s, types=types)
        self._warm = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trail = Trail(
            user=self._asker("user", self._user, scope),
            session=self._asker("session", self._session, scope),
        )
        trail.issuer = self._issuer

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                trail.client_gone = True
            return message

        async def announce(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = await self._announced(message, scope, trail)
            try:
                await send(message)
            except OSError:
                trail.client_gone = True
                raise

        before = get_active()
        set_active(trail)
        try:
            await self.app(scope, listen, announce)
        finally:
            trail.done = True
            if get_active() is trail:
                set_active(before)

    def _asker(
        self, name: str, ask: Callable[[Scope], str | None] | None, scope: Scope
    ) -> Callable[[], str | None] | None:
        if ask is None:
            return None

        def asked() -> str | None:
            try:
                return ask(scope)
            except Exception as error:
                self._issuer.client.faults.note(f"the middleware's {name}", error)
                return None

        return asked

    async def _announced(self, message: Message, scope: Scope, trail: Trail) -> Message:
        """The message with our headers, or the same one when there is nothing to announce."""
        try:
            headers: list[Header] = list(message.get("headers", ()))
            data_id = _announceable(message["status"], headers, scope["method"], trail)
            if data_id is None:
                return message
            if not self._warm:
                await anyio.to_thread.run_sync(self._issuer.client.keyring)
                self._warm = True
            return {**message, "headers": self._with_ours(headers, scope, trail, data_id)}
        except Exception as error:
            self._issuer.client.faults.note("announcing a generation", error)
            return message

    def _with_ours(
        self, headers: list[Header], scope: Scope, trail: Trail, data_id: str
    ) -> list[Header]:
        ours = [(_OURS[0], data_id.encode("ascii"))]
        token = self._issuer.token(trail, data_id)
        if token is not None:
            ours.append((_OURS[1], token.encode("ascii")))
        if _is_cross_origin(headers, scope):
            headers = _exposing(headers)
        return [*headers, *ours]


def _announceable(status: int, headers: Sequence[Header], method: str, trail: Trail) -> str | None:
    if status < 200 or status in (204, 304):
        return None
    sized = method == "HEAD"
    for name, value in headers:
        name = name.lower()
        if name in _OURS:
            return None
        if name == b"content-length":
            sized = True
        elif name == b"cache-control" and any(word in value.lower() for word in _SHARED_CACHES):
            return None
    if sized:
        return trail.last
    return trail.upcoming or trail.last or trail.reserve()


def _is_cross_origin(headers: Sequence[Header], scope: MutableMapping[str, Any]) -> bool:
    if any(name.lower() == b"access-control-allow-origin" for name, _ in headers):
        return True
    # A CORS middleware outside of this one adds its headers later.
    asked = dict(scope["headers"])
    origin, host = asked.get(b"origin"), asked.get(b"host")
    return origin is not None and origin.partition(b"://")[2] != host


def _exposing(headers: Sequence[Header]) -> list[Header]:
    out: list[Header] = []
    merged = False
    for name, value in headers:
        if name.lower() == b"access-control-expose-headers" and not merged:
            merged = True
            if value.strip() != b"*":
                value = value + b", " + _EXPOSED
        out.append((name, value))
    if not merged:
        out.append((b"access-control-expose-headers", _EXPOSED))
    return out
