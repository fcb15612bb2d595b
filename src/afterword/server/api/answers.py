"""Answers of the API: JSON, and one form for everything that fails (layer 5).

Every failure is ``{"detail": "...", "errors": [{"field": "...", "message": "..."}]}``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from afterword.errors import (
    AfterwordError,
    ConfigError,
    DeliveryError,
    InvalidInput,
    StoreBusy,
    StoreError,
    StoreTooLarge,
)
from afterword.server.security import cross_site_reason

__all__ = ["Handler", "Refused", "answer", "endpoint", "failure", "problem"]

RETRY_AFTER_S = 2

_LOGGER = logging.getLogger("afterword.server")
_CREDENTIALS = re.compile(r"://[^/@\s]*@")
_encode = msgspec.json.Encoder().encode

Handler = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """The request is answered with this status, detail and named fields."""

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: which field, and how."""

    field: str
    message: str


class Failure(msgspec.Struct, frozen=True):
    """What every failed request is answered with."""

    detail: str
    errors: list[Problem]


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response of structs and plain values."""
    return Response(_encode(body), status, dict(headers or {}), media_type="application/json")


def problem(
    status: int,
    detail: str,
    errors: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response to a request that failed."""
    # A message may quote what was sent, lone surrogates too, which JSON cannot hold.
    safe = [Problem(_storable(error.field), _storable(error.message)) for error in errors]
    return answer(Failure(_storable(detail), safe), status, headers)


def endpoint(handler: Handler) -> Handler:
    """An endpoint that answers in JSON whatever its handler raises."""

    async def respond(request: Request) -> Response:
        try:
            if "origin" in request.headers or "sec-fetch-site" in request.headers:
                # Programs send neither; a browser may be led here by any page it shows.
                reason = cross_site_reason(request.headers, request.url.scheme)
                if reason is not None and request.headers.get("sec-fetch-site") != "none":
                    raise Refused(HTTPStatus.FORBIDDEN, reason)
            return await handler(request)
        except Exception as error:
            return failure(error)

    return respond


def failure(error: Exception) -> Response:
    """The response to what a handler raised."""
    if isinstance(error, Refused):
        errors = [] if error.field is None else [Problem(error.field, error.detail)]
        return problem(error.status, error.detail, errors, error.headers)
    if isinstance(error, HTTPException):
        return problem(error.status_code, str(error.detail), (), error.headers)
    if isinstance(error, InvalidInput):
        field = error.field or "body"
        if error.index is not None:
            field = f"feedback[{error.index}].{field}"
        return problem(422, str(error), [Problem(field, str(error))])
    if isinstance(error, (StoreError, DeliveryError, ConfigError)):
        return _away(error)
    if isinstance(error, ClientDisconnect):
        return problem(400, "The client left before its request had arrived.")
    _LOGGER.error("a request of the API failed", exc_info=error)
    return problem(500, "Something went wrong here; the server's log says why.")


def _away(error: AfterwordError) -> Response:
    cause = error.__cause__ if isinstance(error, DeliveryError) else error
    # What trying again cannot mend must not be tried for ever.
    if isinstance(cause, StoreTooLarge):
        return problem(413, f"The store does not take it: {cause}")
    lasting = isinstance(cause, StoreError) and type(cause) is StoreError
    reason = _CREDENTIALS.sub("://…@", str(error))
    if lasting:
        return problem(422, f"The store refused: {reason}")
    wait_s = getattr(cause, "retry_after_s", None) if isinstance(cause, StoreBusy) else None
    told = {"Retry-After": str(int(wait_s) if wait_s else RETRY_AFTER_S)}
    return problem(503, f"The store is away: {reason}", (), told)


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
