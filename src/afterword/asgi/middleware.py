"""The middleware: a trail for each request, and its data ID and token on the way out (layer 5).

Pure ASGI. It touches nothing of a response but two headers, and only those of responses that made,
or are about to stream, a generation.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterword.asgi.issuing import Issuer, get_issuer, set_issuer
from afterword.asgi.tokens import DEFAULT_TTL_S, MAX_TTL_S
from afterword.client import Client
from afterword.context import Trail, get_active, set_active
from afterword.delivery.faults import Faults
from afterword.errors import ConfigError

DATA_ID_HEADER = "Afterword-Data-Id"
TOKEN_HEADER = "Afterword-Feedback-Token"  # noqa: S105 - a header's name

_SECRET_WAIT_S = 0.5
_OURS = (DATA_ID_HEADER.lower().encode(), TOKEN_HEADER.lower().encode())
_EXPOSE = b"access-control-expose-headers"

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
        issuer_before = get_issuer()
        set_issuer(self._issuer)
        try:
            if scope["type"] == "http":
                await self._http(scope, receive, send)
            else:
                await self.app(scope, receive, send)
        finally:
            set_issuer(issuer_before)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        trail = Trail(
            user=self._asker("user", self._user, scope),
            session=self._asker("session", self._session, scope),
        )

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
                return _name(ask(scope))
            except Exception as error:
                self._note(f"the middleware's {name}", error)
                return None

        return asked

    async def _announced(self, message: Message, scope: Scope, trail: Trail) -> Message:
        """The message with our headers, or the same one when there is nothing to announce."""
        try:
            headers = message.get("headers", ())
            if not isinstance(headers, (list, tuple)):
                # ASGI allows what can be read only once.
                headers = list(headers)
                message = {**message, "headers": headers}
            if not _may_announce(message["status"], headers, scope["method"]):
                return message
            data_id = _announceable(headers, trail)
            if data_id is None:
                return message
            ours = [(_OURS[0], data_id.encode("ascii"))]
            token = await self._token(trail, data_id)
            if token is not None:
                ours.append((_OURS[1], token.encode("ascii")))
            if _is_cross_origin(headers, scope):
                headers = _exposing(headers)
            return {**message, "headers": [*headers, *ours]}
        except Exception as error:
            self._note("announcing a generation", error)
            return message

    async def _token(self, trail: Trail, data_id: str) -> str | None:
        client = self._issuer.client
        if not client.has_keyring:
            # A response must not wait for a store that is away.
            with anyio.move_on_after(_SECRET_WAIT_S):
                await anyio.to_thread.run_sync(client.keyring, abandon_on_cancel=True)
            if not client.has_keyring:
                return None
        return self._issuer.token(trail, data_id)

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


def _may_announce(status: int, headers: Iterable[Header], method: str) -> bool:
    """Whether the response is one that a client sees fresh, and the app has not announced itself."""
    if status < 200 or status in (204, 304) or method == "HEAD":
        return False
    directives: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _OURS:
            return False
        if lower == b"cache-control":
            for part in value.lower().split(b","):
                directive, _, argument = part.strip().partition(b"=")
                directives[directive] = argument.strip(b'"')
    return not _is_shared(directives)


def _is_shared(directives: dict[bytes, bytes]) -> bool:
    """Whether a shared cache may give the response to others, by RFC 9111."""
    if b"no-store" in directives or directives.get(b"private") == b"":
        return False
    lasting = directives.get(b"max-age", b"").strip(b"0 ") != b""
    return lasting or not directives.keys().isdisjoint((b"public", b"s-maxage", b"immutable"))


def _announceable(headers: Iterable[Header], trail: Trail) -> str | None:
    if any(name.lower() == b"content-length" for name, _ in headers):
        return trail.last
    return trail.upcoming or trail.last or trail.reserve()


def _is_cross_origin(headers: Iterable[Header], scope: Scope) -> bool:
    if any(name.lower() == b"access-control-allow-origin" for name, _ in headers):
        return True
    # A CORS middleware outside of this one adds its headers later.
    asked = dict(scope["headers"])
    origin, host = asked.get(b"origin"), asked.get(b"host")
    return origin is not None and origin.partition(b"://")[2] != host


def _exposing(headers: Iterable[Header]) -> list[Header]:
    """The headers, with ours among those that pages of other origins may read."""
    out = list(headers)
    places = [place for place, (name, _) in enumerate(out) if name.lower() == _EXPOSE]
    exposed = b",".join(out[place][1] for place in places).lower()
    named = {name.strip() for name in exposed.split(b",")}
    # A star is no wildcard on requests with credentials, so ours are named beside it.
    missing = [
        name for name in (DATA_ID_HEADER, TOKEN_HEADER) if name.lower().encode() not in named
    ]
    if missing:
        added = ", ".join(missing).encode()
        if places:
            name, value = out[places[0]]
            out[places[0]] = (name, value + b", " + added)
        else:
            out.append((_EXPOSE, added))
    return out
