"""Signing in to the pages with a key, and out again (layer 5)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from afterword.server.auth import SESSION_COOKIE, SESSION_S, Gate
from afterword.server.pages.rendering import error_page, link, render
from afterword.server.pages.review import FormError, read_form
from afterword.server.security import cross_site_reason

__all__ = ["SigningIn"]

_MAX_NEXT_CHARS = 2_000


class SigningIn:
    """The sign-in form of one app."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[BaseRoute]:
        """The routes, for the app of the pages."""
        return [
            Route("/sign-in", self.form, methods=["GET"], name="sign_in"),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"], name="sign_out"),
        ]

    async def form(self, request: Request) -> Response:
        """`GET /sign-in`: asks for a key."""
        return _form(request, request.query_params.get("next", ""))

    async def sign_in(self, request: Request) -> Response:
        """`POST /sign-in`: a session for who knows a key that may read, then the page asked for."""
        refused = _cross_site(request)
        if refused is not None:
            return refused
        try:
            form = await read_form(request)
        except FormError as error:
            return error_page(request, error.status_code, "This form could not be read", str(error))
        asked = form.get("next", [""])[0]
        session = await run_in_threadpool(self._gate.new_session, form.get("key", [""])[0])
        if session is None:
            return _form(request, asked, "This is no key that may read the logs.")
        response = RedirectResponse(_own_path(request, asked), HTTPStatus.SEE_OTHER)
        response.set_cookie(
            SESSION_COOKIE,
            session,
            max_age=SESSION_S,
            path=_cookie_path(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        """`POST /sign-out`: the browser forgets its session."""
        refused = _cross_site(request)
        if refused is not None:
            return refused
        response = RedirectResponse(link(request, "sign_in"), HTTPStatus.SEE_OTHER)
        response.delete_cookie(SESSION_COOKIE, path=_cookie_path(request), httponly=True)
        return response


def _form(request: Request, asked: str, problem: str | None = None) -> Response:
    status = HTTPStatus.OK if problem is None else HTTPStatus.UNAUTHORIZED
    return render(
        request,
        "sign_in.html",
        status,
        banner=None,
        asked=asked[:_MAX_NEXT_CHARS],
        problem=problem,
    )


def _cross_site(request: Request) -> Response | None:
    reason = cross_site_reason(request.headers, request.url.scheme)
    if reason is None:
        return None
    return error_page(request, HTTPStatus.FORBIDDEN, "This form was refused", reason)


def _own_path(request: Request, asked: str) -> str:
    """The path asked for before signing in, when it is one of this app; else the list."""
    home = link(request, "logs")
    # A second slash, or a backslash that browsers read as one, would lead to another host.
    if not asked.startswith("/") or asked[1:2] in ("/", "\\") or len(asked) > _MAX_NEXT_CHARS:
        return home
    if any(ord(char) < 33 or ord(char) > 126 or char == "\\" for char in asked):
        return home
    return home.rstrip("/") + asked


def _cookie_path(request: Request) -> str:
    return link(request, "logs").rstrip("/") or "/"
