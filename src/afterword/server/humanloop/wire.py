"""Bodies in, JSON out: the manners of Humanloop's v4 API (layer 5).

Sources: Humanloop's published OpenAPI description of v4, and what its SDKs send. Every failure is
JSON with the key `detail`; a 422 has one entry a field, as FastAPI writes them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from afterword.client import Client
from afterword.codec import to_json
from afterword.default import default_client
from afterword.errors import DeliveryError, InvalidInput, StoreError
from afterword.server.auth import Access, authorize
from afterword.server.security import cross_site_reason

__all__ = ["Call", "Endpoint", "Refused", "Routes", "reply"]

BODY_BYTES = 32_000_000
_LOGGER = logging.getLogger("afterword.server")
_UNUSABLE = "The body is not JSON."


class Refused(Exception):
    """The request is answered with this status and detail."""

    def __init__(self, status: int, detail: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def unfit(field: str, message: str, index: int | None = None, kind: str = "value_error") -> Refused:
    """A 422 that names one field of the body."""
    place = ["body", *([] if index is None else [index]), field]
    return Refused(422, [{"loc": place, "msg": message, "type": kind}])


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: `body` has no provider keys any more, they are apart in `provider_keys`."""

    client: Client
    access: Access
    path: Mapping[str, str]
    query: QueryParams
    body: Any
    provider_keys: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def fields(self) -> dict[str, Any]:
        """The body as an object."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise Refused(
                422, [{"loc": ["body"], "msg": "must be an object", "type": "type_error"}]
            )
        return cast("dict[str, Any]", self.body)

    def text(self, name: str, *, required: bool = False) -> str | None:
        """A field of the body that must be text when it is there."""
        value = self.fields.get(name)
        if value is None:
            if required:
                raise unfit(name, "field required", kind="value_error.missing")
            return None
        if not isinstance(value, str):
            raise unfit(name, "must be text")
        return value

    def number_of(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number of the query, within bounds."""
        given = self.query.get(name)
        if given is None:
            return default
        if not given.isdecimal() or not least <= int(given[:9]) <= most:
            message = f"must be a whole number from {least} to {most}"
            raise Refused(
                422, [{"loc": ["query", name], "msg": message, "type": "value_error.number"}]
            )
        return int(given)


Handler: TypeAlias = Callable[[Call], Any]
AsyncHandler: TypeAlias = Callable[[Call], Awaitable[Any]]


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response; without a body for 204."""
    content = b"" if status == 204 else to_json(body).encode("utf-8", "backslashreplace")
    return Response(
        content,
        status,
        dict(headers or {}),
        media_type=None if status == 204 else "application/json",
    )


class Endpoint:
    """An ASGI endpoint over a handler from a `Call` to a body (or a whole response).

    A handler that is no coroutine function may block; it runs in a thread.
    """

    def __init__(
        self,
        client: Client | None,
        scope: str,
        handler: Handler | AsyncHandler,
        status: int,
        is_async: bool,
    ) -> None:
        self._client = client
        self._scope = scope
        self._handler = handler
        self._status = status
        self._is_async = is_async

    async def __call__(self, request: Request) -> Response:
        try:
            call = await self._read(request)
            if self._is_async:
                body = await cast("AsyncHandler", self._handler)(call)
            else:
                body = await run_in_threadpool(self._handler, call)
        except Exception as error:
            return _failure(error)
        return body if isinstance(body, Response) else reply(body, self._status)

    async def _read(self, request: Request) -> Call:
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            # SDKs send neither; a browser may have been sent here by any page it shows.
            reason = cross_site_reason(request.headers, request.url.scheme)
            if reason is not None:
                raise Refused(403, reason)
        access = await authorize(request, self._scope)
        body = await _json_body(request)
        keys: dict[str, str] = {}
        for part in body if isinstance(body, list) else [body]:
            if isinstance(part, dict):
                keys.update(_taken_keys(cast("dict[str, Any]", part)))
        client = self._client or default_client()
        return Call(client, access, request.path_params, request.query_params, body, keys)


class Routes:
    """Collects the routes of one file."""

    def __init__(self, client: Client | None, prefix: str) -> None:
        self.found: list[Route] = []
        self._client = client
        self._prefix = prefix

    def add(self, method: str, path: str, scope: str, handler: Handler, status: int = 200) -> None:
        """A route whose handler may block."""
        self._add(method, path, Endpoint(self._client, scope, handler, status, is_async=False))

    def add_async(
        self, method: str, path: str, scope: str, handler: AsyncHandler, status: int = 200
    ) -> None:
        """A route whose handler is a coroutine function."""
        self._add(method, path, Endpoint(self._client, scope, handler, status, is_async=True))

    def _add(self, method: str, path: str, endpoint: Endpoint) -> None:
        # Starlette takes a function for an endpoint and an instance for an app of its own.
        self.found.append(Route(self._prefix + path, endpoint.__call__, methods=[method]))


def _taken_keys(part: dict[str, Any]) -> dict[str, str]:
    given = part.pop("provider_api_keys", None)
    if not isinstance(given, dict):
        return {}
    return {str(name): value for name, value in given.items() if isinstance(value, str) and value}


async def _json_body(request: Request) -> Any:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_BYTES:
            raise Refused(413, f"The body must be at most {BODY_BYTES} bytes.")
    if not data.strip():
        return None
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refused(400, _UNUSABLE) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _failure(error: Exception) -> Response:
    if isinstance(error, Refused):
        return reply({"detail": error.detail}, error.status, error.headers)
    if isinstance(error, HTTPException):
        return reply({"detail": error.detail}, error.status_code, error.headers)
    if isinstance(error, InvalidInput):
        refused = unfit(error.field or "body", str(error), error.index)
        return reply({"detail": refused.detail}, refused.status)
    if isinstance(error, (StoreError, DeliveryError)):
        return reply({"detail": f"The store is away: {error}"}, 503, {"Retry-After": "5"})
    if isinstance(error, ClientDisconnect):
        return reply({"detail": "The client left."}, 400)
    _LOGGER.error("a request of Humanloop's API failed", exc_info=error)
    return reply({"detail": "Something went wrong here; the server's log says why."}, 500)
