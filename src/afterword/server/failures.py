"""Answers to what fails: a plain page, or JSON below the API's paths (layer 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from afterword.errors import ConfigError, DeliveryError, StoreError
from afterword.server.api.answers import failure
from afterword.server.guard import app_path, is_api_path
from afterword.server.pages.rendering import error_page

__all__ = ["HANDLERS"]

_CREDENTIALS = re.compile(r"://[^/@\s]*@")


def http_error(request: Request, error: Exception) -> Response:
    """The answer to what Starlette or a page refused."""
    assert isinstance(error, HTTPException)
    if is_api_path(app_path(request.scope)):
        return failure(error)
    status = HTTPStatus(error.status_code)
    title = {404: "Not found", 405: "Not here"}.get(error.status_code, status.phrase)
    reason = error.detail if error.detail != status.phrase else f"{status.description}."
    response = error_page(request, error.status_code, title, reason)
    response.headers.update(error.headers or {})
    return response


def store_away(request: Request, error: Exception) -> Response:
    """The answer while the store is away."""
    reason = _CREDENTIALS.sub("://…@", str(error))
    return error_page(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The logs cannot be read or written now",
        reason,
        "Load the page again once the store is back.",
    )


def unexpected(request: Request, error: Exception) -> Response:
    """The answer to a fault of ours."""
    return error_page(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong here",
        "This page could not be made. The server's log says why.",
    )


def client_left(request: Request, error: Exception) -> Response:
    """What nobody will read: the client has gone."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


#: For Starlette's `exception_handlers`.
HANDLERS: Mapping[Any, Callable[[Request, Exception], Response]] = {
    HTTPException: http_error,
    StoreError: store_away,
    DeliveryError: store_away,
    ConfigError: store_away,
    ClientDisconnect: client_left,
    Exception: unexpected,
}
