"""Who may do what: API keys of requests, and sessions of browsers (layer 5).

With no key ever made the server is open, as one on loopback or behind an app's own login may be;
from the first key on every request needs one. A browser gets a session by signing in with a key: a
signed cookie that names the key, ends after 12 hours, and ends with the key.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request

from afterword.client import Client
from afterword.default import default_client
from afterword.redaction import Hidden
from afterword.server.keys import SCOPES, Key, KeyBook
from afterword.stores.protocol import Store

__all__ = ["SESSION_COOKIE", "Access", "Gate", "access_of", "authorize"]

SESSION_COOKIE = "afterword_session"
SESSION_S = 12 * 3600
#: Where the guard of the pages leaves what it found, in the ASGI scope.
PAGE_ACCESS = "afterword.access"

_SESSION_SECRET = "session_secret"  # noqa: S105 - the name of the setting, not its value
_MAX_COOKIE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Access:
    """What a request may touch: one project, or all of them when `project` is None."""

    project: str | None = None
    scopes: frozenset[str] = field(default_factory=lambda: frozenset(SCOPES))
    key_id: str | None = None

    def may(self, scope: str) -> bool:
        """Whether it covers `scope`; ``admin`` covers all of them."""
        return scope in self.scopes or "admin" in self.scopes

    def check_project(self, project: str | None) -> None:
        """Refuse with 403 when `project` is another one than the key's."""
        if self.project is not None and project is not None and project != self.project:
            raise HTTPException(
                HTTPStatus.FORBIDDEN, f"This key is for project {self.project} only."
            )


_OPEN = Access()


class Gate:
    """Decides for one app who may pass. With `client` None the default client's keys count.

    `is_public` closes the server even before the first key is made.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        is_public: bool = False,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._is_public = is_public
        self._clock_s = clock_s
        self._book: tuple[Store, KeyBook] | None = None
        self._secret: tuple[Store, bytes] | None = None

    @property
    def client(self) -> Client:
        return default_client() if self._client is None else self._client

    @property
    def book(self) -> KeyBook:
        """The keys of the client's store."""
        store = self.client.store
        if self._book is None or self._book[0] is not store:
            self._book = (store, KeyBook(store))
        return self._book[1]

    def is_open(self) -> bool:
        """Whether requests pass without a key. May block on the store."""
        if self._is_public:
            return False
        # In front of another server, that server judges by the key this client was given.
        return is_remote(self.client.store) or not self.book.has_any()

    def access(self, connection: HTTPConnection) -> Access | None:
        """What the request's key gives; None without a valid one. May block on the store."""
        given = key_of(connection)
        # Looked for first: a key that was made a moment ago says the project already.
        found = None if given is None or is_remote(self.client.store) else self.book.find(given)
        if found is None and self.is_open():
            return _OPEN
        return _access(found)

    def session_access(self, connection: HTTPConnection) -> Access | None:
        """What the browser's session, or else the request's key, gives. May block on the store."""
        cookie = connection.cookies.get(SESSION_COOKIE)
        if cookie is None or self.is_open():
            return self.access(connection)
        return self._of_session(cookie)

    def new_session(self, key_text: str) -> str | None:
        """The cookie of a session for who knows a key that may read; None otherwise."""
        access = _access(self.book.find(key_text.strip()))
        if access is None or access.key_id is None or not access.may("read"):
            return None
        return self._signed(access.key_id, int(self._clock_s()) + SESSION_S)

    async def ask(self, connection: HTTPConnection, *, session: bool = False) -> Access | None:
        """`access` or `session_access`, without blocking the event loop."""
        decide = self.session_access if session else self.access
        if self.client.store.is_local or (self.book.is_fresh and not session):
            return decide(connection)
        return await run_in_threadpool(decide, connection)

    def _of_session(self, cookie: str) -> Access | None:
        key_id, _, rest = cookie.partition(".")
        expires, _, _ = rest.partition(".")
        if len(cookie) > _MAX_COOKIE_CHARS or not expires.isascii() or not expires.isdecimal():
            return None
        if not hmac.compare_digest(self._signed(key_id, int(expires)).encode(), cookie.encode()):
            return None
        if int(expires) <= self._clock_s():
            return None
        return _access(self.book.by_id(key_id))

    def _signed(self, key_id: str, expires_s: int) -> str:
        store = self.client.store
        if self._secret is None or self._secret[0] is not store:
            made = store.setting(_SESSION_SECRET, lambda: secrets.token_urlsafe(32))
            self._secret = (store, made.encode())
        told = f"{key_id}.{expires_s}"
        mac = hmac.new(self._secret[1], f"session {told}".encode(), hashlib.sha256)
        return f"{told}.{mac.hexdigest()}"


async def authorize(request: Request, scope: str, *others: str) -> Access:
    """The access that the request's key gives, for the routes of an app made by `create_app`.

    The key is taken from ``Authorization: Bearer KEY`` or ``X-API-KEY``.

    Raises:
        HTTPException: 401 without a valid key where one is needed, 403 when the key has neither
            `scope` nor one of the `others`.
    """
    gate: Gate | None = getattr(request.app.state, "gate", None)
    if gate is None:  # routes without the app: nobody has said who may use them
        raise RuntimeError("authorize serves the routes of an app that create_app made")
    access = await gate.ask(request)
    if access is None:
        told = "This needs an API key" if key_of(request) is None else "The API key is not valid"
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED,
            f"{told}; send it as Authorization: Bearer KEY, or X-API-KEY.",
            {"WWW-Authenticate": "Bearer"},
        )
    if not any(map(access.may, (scope, *others))):
        raise HTTPException(HTTPStatus.FORBIDDEN, f"This key lacks the scope {scope}.")
    return access


def access_of(request: Request) -> Access:
    """What the request for a page may touch, as the guard of the pages found."""
    access: Access = request.scope.get(PAGE_ACCESS) or _OPEN
    return access


def key_of(connection: HTTPConnection) -> str | None:
    """The key that a request carries."""
    given = connection.headers.get("authorization")
    if given is None:
        key = connection.headers.get("x-api-key")
        return None if key is None else Hidden(key)
    kind, _, text = given.strip().partition(" ")
    return Hidden(text.strip() if kind.lower() == "bearer" else "")


def is_remote(store: Store) -> bool:
    """Whether the store is another Afterword server."""
    return store.url.startswith(("http:", "https:"))


def _access(key: Key | None) -> Access | None:
    return None if key is None else Access(key.project, frozenset(key.scopes), key.id)
