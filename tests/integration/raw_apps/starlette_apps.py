"""Starlette's own responses and middlewares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from raw_apps.registry import APPS, Answer, App, OfTheApp


def _starlette(respond: Callable[[Request, Answer], Any]) -> App:
    async def run(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
        async def endpoint(request: Request) -> Response:
            try:
                return await respond(request, answer)  # type: ignore[no-any-return]
            except ClientDisconnect:
                return Response(status_code=400)

        inner = Mount("/", routes=[Route("/{rest:path}", endpoint, methods=["GET", "POST"])])
        app: ASGIApp = Starlette(routes=[inner])
        await app({**scope, "state": {}}, receive, send)

    return run


def _note(name: str, respond: Callable[[Request, Answer], Any]) -> None:
    APPS[name] = ("http", _starlette(respond))


async def _json(request: Request, answer: Answer) -> Response:
    return JSONResponse({"text": await answer("x"), "read": len(await request.body())})


async def _stream(request: Request, answer: Answer) -> Response:
    async def words() -> AsyncIterator[str]:
        for _ in range(3):
            yield await answer("x")

    return StreamingResponse(words())


async def _failing_stream(request: Request, answer: Answer) -> Response:
    async def words() -> AsyncIterator[str]:
        yield await answer("x")
        raise OfTheApp("in the stream")

    return StreamingResponse(words())


async def _background(request: Request, answer: Answer) -> Response:
    return JSONResponse({}, background=BackgroundTask(answer, "x"))


async def _failing_background(request: Request, answer: Answer) -> Response:
    async def fail() -> None:
        raise OfTheApp("in the background")

    return JSONResponse({}, background=BackgroundTask(fail))


async def _refusal(request: Request, answer: Answer) -> Response:
    await answer("x")
    raise HTTPException(429, headers={"retry-after": "1"})


async def _crash(request: Request, answer: Answer) -> Response:
    await answer("raise")
    raise AssertionError


async def _file(request: Request, answer: Answer) -> Response:
    return FileResponse(_FILE)


async def _redirect(request: Request, answer: Answer) -> Response:
    return RedirectResponse("/there")


_HANDLE, _FILE = tempfile.mkstemp(suffix=".txt")


os.write(_HANDLE, b"x" * 1000)


os.close(_HANDLE)


class _PassOn(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-passed"] = "1"
        return response


_note("starlette_json", _json)


_note("starlette_stream", _stream)


_note("starlette_failing_stream", _failing_stream)


_note("starlette_background", _background)


_note("starlette_failing_background", _failing_background)


_note("starlette_refusal", _refusal)


_note("starlette_crash", _crash)


_note("starlette_file", _file)


_note("starlette_redirect", _redirect)


def with_base_middleware(inner: ASGIApp) -> ASGIApp:
    return _PassOn(inner)


def with_compression(inner: ASGIApp) -> ASGIApp:
    return GZipMiddleware(inner, minimum_size=1)
