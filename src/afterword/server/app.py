"""The server's ASGI app: the Logs pages, and one plain page for everything that fails (layer 5)."""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from afterword.client import Client
from afterword.errors import ConfigError, DeliveryError, StoreError
from afterword.server.auth import Gate
from afterword.server.humanloop import humanloop_routes
from afterword.server.humanloop.v5 import v5_routes
from afterword.server.pages.rendering import error_page
from afterword.server.pages.views import LogsPages
from afterword.server.security import SecurityHeaders

__all__ = ["create_app"]

_CREDENTIALS = re.compile(r"://[^/@\s]*@")


def create_app(client: Client | None = None) -> Starlette:
    """The Logs pages as an ASGI app, to serve alone or to mount inside another app.

    With `client` None the default client is looked up for each request, so `configure` may come
    later. There is no access control here: mount it behind your own, or serve it on loopback.
    """
    app = _SecuredApp(
        routes=[*humanloop_routes(client), *v5_routes(client), *LogsPages(client).routes()],
        exception_handlers={
            HTTPException: _http_error,
            StoreError: _store_away,
            DeliveryError: _store_away,
            ConfigError: _store_away,
            ClientDisconnect: _client_left,
            Exception: _unexpected,
        },
    )
    app.state.gate = Gate(client)
    return app


class _SecuredApp(Starlette):
    """Starlette with the security headers outside its error handling, so that errors have them."""

    def build_middleware_stack(self) -> ASGIApp:
        return SecurityHeaders(super().build_middleware_stack())


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    title = {404: "Not found", 405: "Not here"}.get(error.status_code, status.phrase)
    reason = error.detail if error.detail != status.phrase else f"{status.description}."
    response = error_page(request, error.status_code, title, reason)
    response.headers.update(error.headers or {})
    return response


def _store_away(request: Request, error: Exception) -> Response:
    reason = _CREDENTIALS.sub("://…@", str(error))
    return error_page(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The logs cannot be read or written now",
        reason,
        "Load the page again once the store is back.",
    )


def _unexpected(request: Request, error: Exception) -> Response:
    return error_page(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong here",
        "This page could not be made. The server's log says why.",
    )


def _client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)
