"""What stands before every page: who may see it, and which hosts are answered for (layer 5)."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from afterword.errors import AfterwordError
from afterword.server.api.answers import problem
from afterword.server.auth import PAGE_ACCESS, Gate
from afterword.server.pages.rendering import error_page, link

__all__ = ["LOOPBACK_HOSTS", "HostGuard", "PageGuard", "app_path", "is_api_path"]

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

#: Below these, routes ask for a key themselves, or may be seen by all.
_API = ("/api/", "/v4/", "/v5/", "/healthz", "/metrics")
_FOR_ALL = ("/sign-in", "/sign-out", "/static/")


class HostGuard:
    """Answers only for its own host names.

    A page elsewhere may point its own name at this address (DNS rebinding) and read what an open
    server says; its requests then carry that name as Host.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hosts is not None and scope["type"] in ("http", "websocket"):
            given = [value for name, value in scope["headers"] if name == b"host"]
            if len(given) != 1 or _host_name(given[0]) not in self._hosts:
                if scope["type"] == "http":
                    told = "This server does not answer for that host name; see --allow-host."
                    await problem(HTTPStatus.MISDIRECTED_REQUEST, told)(scope, receive, send)
                    return
                await send({"type": "websocket.close", "code": 1008})
                return
        await self._app(scope, receive, send)


class PageGuard:
    """Lets pages be seen by who is signed in, once there is a key; others are led to sign in.

    Whatever path is not the API's is a page, so that a new page is guarded from its first day.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = app_path(scope) if scope["type"] == "http" else ""
        if scope["type"] != "http" or is_api_path(path) or path.startswith(_FOR_ALL):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            access = await self._gate.ask(request, session=True)
        except AfterwordError as error:
            page = error_page(request, 503, "Who may see this cannot be found out now", str(error))
            await page(scope, receive, send)
            return
        needed = "read" if request.method in ("GET", "HEAD") else "feedback"
        if access is not None and access.may(needed):
            scope[PAGE_ACCESS] = access
            await self._app(scope, receive, send)
            return
        if access is None and needed == "read":
            asked = path + (f"?{request.url.query}" if request.url.query else "")
            sign_in = f"{link(request, 'sign_in')}?next={quote(asked, safe='')}"
            await RedirectResponse(sign_in, HTTPStatus.SEE_OTHER)(scope, receive, send)
            return
        status = HTTPStatus.UNAUTHORIZED if access is None else HTTPStatus.FORBIDDEN
        reason = (
            "You are not signed in any more." if access is None
            else f"The key you signed in with lacks the scope {needed}."
        )  # fmt: skip
        page = error_page(request, status, "This needs a key", reason, "Sign in with another key.")
        await page(scope, receive, send)


def app_path(scope: Scope) -> str:
    """The path below where the app is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root) else path


def is_api_path(path: str) -> bool:
    """Whether failures of this path are told in JSON."""
    return path.startswith(_API)


def _host_name(given: bytes) -> str:
    try:
        return (urlsplit(f"//{given.decode('ascii')}").hostname or "").lower()
    except ValueError:
        return ""
