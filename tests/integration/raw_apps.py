"""Raw ASGI apps of every kind and manner, good and bad, for the differential tests.

Each takes `answer`, a decorated function: what it gives must not show in what the app sends.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Answer = Callable[[str], Awaitable[str]]
App = Callable[[Scope, Receive, Send, Answer], Awaitable[None]]

APPS: dict[str, tuple[str, App]] = {}


def app(function: App) -> App:
    """Note an app; its name begins with the type of scope it is for, http when it names none."""
    kind = function.__name__.partition("_")[0]
    APPS[function.__name__] = (kind if kind in ("websocket", "lifespan") else "http", function)
    return function


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: bytes = b"", more: bool | None = None) -> Message:
    message: Message = {"type": "http.response.body", "body": data}
    return message if more is None else {**message, "more_body": more}


SIZED = (b"content-length", b"2")


class OfTheApp(Exception):
    """An error of the app's own."""


# --- responses as they should be -------------------------------------------------------------


@app
async def sized(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, SIZED))
    await send(body(b"hi"))


@app
async def sized_without_a_generation(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await send(start(200, SIZED))
    await send(body(b"hi"))


@app
async def unsized(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, (b"content-type", b"text/plain")))
    await send(body(await _encoded(answer)))


async def _encoded(answer: Answer) -> bytes:
    return (await answer("x")).encode()


@app
async def no_content(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(204))
    await send(body())


@app
async def not_modified(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(304, (b"etag", b'"x"')))
    await send(body())


@app
async def reset_content(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(205, (b"content-length", b"0")))
    await send(body())


@app
async def informational(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(103, (b"link", b"</style.css>; rel=preload")))
    await send(start(200, SIZED))
    await send(body(b"hi"))


@app
async def early_hint(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await answer("x")
    await send(start(200, SIZED))
    await send(body(b"hi"))


@app
async def pushed(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send({"type": "http.response.push", "path": "/style.css", "headers": []})
    await send(start(200, SIZED))
    await send(body(b"hi"))


@app
async def debug_extension(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send({"type": "http.response.debug", "info": {"template": "x"}})
    await send(start(200, SIZED))
    await send(body(b"hi"))


@app
async def redirect(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(307, (b"location", b"/there"), (b"content-length", b"0")))
    await send(body())


@app
async def not_found(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(404, SIZED))
    await send(body(b"no"))


@app
async def server_error(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(500, SIZED))
    await send(body(b"no"))


@app
async def odd_status(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(799))
    await send(body(b"hi"))


@app
async def streamed(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, (b"content-type", b"text/event-stream")))
    for index in range(4):
        await answer("x")
        await send(body(b"data: %d\n\n" % index, True))
    await send(body(b"", False))


@app
async def slow_stream(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    for index in range(4):
        await anyio.sleep(0)
        await send(body(b"%d" % index, True))
    await answer("x")
    await send(body())


@app
async def a_character_split_over_chunks(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await send(start(200, (b"content-type", b"text/event-stream")))
    for byte in "data: é\n\n".encode():
        await send(body(bytes([byte]), True))
    await send(body())


@app
async def keep_alive_comments(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, (b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")))
    await send(body(b": ping\r\n\r\n", True))
    await send(body(b"id: 7\nretry: 5\ndata: x\n\n", True))
    await send(body())


@app
async def compressed_stream(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")))
    await send(body(b"\x1f\x8b\x08\x00", True))
    await send(body(b"\x00" * 10))


@app
async def empty_bodies(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    for _ in range(3):
        await send(body(b"", True))
    await send(body(b""))


@app
async def no_body_key(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    await send({"type": "http.response.body"})


@app
async def ten_megabytes_at_once(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, (b"content-length", b"10000000")))
    await send(body(bytes(10_000_000)))


@app
async def ten_megabytes_in_chunks(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await answer("x")
    await send(start(200, (b"content-length", b"10000000")))
    chunk = bytes(1_000_000)
    for _ in range(10):
        await send(body(chunk, True))
    await send(body())


@app
async def memoryview_body(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, SIZED))
    await send({"type": "http.response.body", "body": memoryview(b"hi")})


@app
async def trailers(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, (b"trailer", b"x-sum"), trailers=True))
    await send(body(b"hi"))
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


@app
async def path_send(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, SIZED))
    await send({"type": "http.response.pathsend", "path": "/tmp/file"})


@app
async def zero_copy_send(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, SIZED))
    await send({"type": "http.response.zerocopysend", "file": 7, "count": 2})


# --- headers ---------------------------------------------------------------------------------


@app
async def doubled_headers(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(
        start(200, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), SIZED, (b"x", b""), SIZED)
    )
    await send(body(b"hi"))


@app
async def raw_bytes_in_headers(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, (b"X-Raw", bytes(range(128, 256))), (b"X-Upper", b"1")))
    await send(body(b"hi"))


@app
async def headers_as_lists(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(
        {"type": "http.response.start", "status": 200, "headers": [[b"content-length", b"2"]]}
    )
    await send(body(b"hi"))


@app
async def headers_as_tuple(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send({"type": "http.response.start", "status": 200, "headers": ((b"x-one", b"1"),)})
    await send(body(b"hi"))


@app
async def headers_that_can_be_read_once(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    headers = ((name, b"1") for name in (b"x-one", b"content-length"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(body(b"h"))


@app
async def no_headers_key(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send({"type": "http.response.start", "status": 200})
    await send(body(b"hi"))


@app
async def many_headers(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, *[(b"x-%d" % index, b"v" * 100) for index in range(500)]))
    await send(body(b"hi"))


@app
async def announced_by_the_app(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, SIZED, (b"X-Mine", b"1")))
    await send(body(b"hi"))


@app
async def cross_origin(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, SIZED, (b"access-control-allow-origin", b"*")))
    await send(body(b"hi"))


@app
async def publicly_cached(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, SIZED, (b"cache-control", b"public, max-age=3600")))
    await send(body(b"hi"))


@app
async def cached_for_a_generator_of_headers(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await answer("x")
    headers = iter([(b"cache-control", b"public")])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(body(b"hi"))


# --- bad manners -----------------------------------------------------------------------------


@app
async def no_response(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")


@app
async def start_and_no_body(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))


@app
async def body_and_no_start(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(body(b"hi"))


@app
async def unfinished_body(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    await send(body(b"hi", True))


@app
async def two_starts(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send(start(200, SIZED))
    await send(start(500, SIZED))
    await send(body(b"hi"))


@app
async def body_after_the_end(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, SIZED))
    await send(body(b"hi"))
    await send(body(b"again"))


@app
async def status_of_no_use(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send({"type": "http.response.start", "status": "200", "headers": []})
    await send(body(b"hi"))


@app
async def status_missing(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "headers": []})


@app
async def headers_of_text(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send({"type": "http.response.start", "status": 200, "headers": [("Content-Length", "2")]})
    await send(body(b"hi"))


@app
async def headers_of_no_use(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send({"type": "http.response.start", "status": 200, "headers": [b"content-length"]})
    await send(body(b"hi"))


@app
async def headers_are_none(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await answer("x")
    await send({"type": "http.response.start", "status": 200, "headers": None})
    await send(body(b"hi"))


@app
async def unknown_message(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send({"type": "http.response.unheard_of", "x": 1})


@app
async def error_before_the_start(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await answer("x")
    raise OfTheApp("before")


@app
async def error_after_the_start(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    await answer("x")
    raise OfTheApp("after the start")


@app
async def error_in_the_body(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    await send(body(b"hi", True))
    raise OfTheApp("in the body") from ValueError("its cause")


@app
async def error_after_the_body(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200, SIZED))
    await send(body(b"hi"))
    raise OfTheApp("at the end")


@app
async def error_in_the_generation(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await answer("raise")


@app
async def error_met_and_answered(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    try:
        await answer("raise")
    except ValueError:
        await send(start(500, SIZED))
        await send(body(b"no"))


@app
async def group_of_errors(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    raise ExceptionGroup("two", [OfTheApp("one"), ValueError("other")])


@app
async def cancelled_by_itself(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    raise asyncio.CancelledError("mine")


@app
async def system_exit(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    raise SystemExit(3)


@app
async def timed_out(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    try:
        async with asyncio.timeout(0):
            await anyio.sleep_forever()
    except TimeoutError:
        await send(body(b"late"))


# --- reading and leaving ---------------------------------------------------------------------


@app
async def echo(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await send(start(200))
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        await send(body(message.get("body", b""), message.get("more_body", False)))
        if not message.get("more_body", False):
            return


@app
async def waits_for_the_client_to_leave(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await send(start(200))
    while (await receive())["type"] != "http.disconnect":
        await send(body(b".", True))
    await answer("x")


@app
async def reads_and_writes_at_once(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    await send(start(200))
    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        for _ in range(5):
            await answer("x")
            await send(body(b".", True))
            await anyio.sleep(0)
        group.cancel_scope.cancel()
    await send(body())


@app
async def works_after_the_response(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await send(start(200, SIZED))
    await send(body(b"hi"))
    await answer("x")
    await receive()


@app
async def survives_a_server_that_refuses(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await answer("x")
    try:
        await send(start(200))
        await send(body(b"hi", True))
        await send(body(b"hi"))
    except OSError:
        raise OfTheApp("the server refused") from None


# --- Starlette's own ---------------------------------------------------------------------------


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


# --- websockets and lifespan -------------------------------------------------------------------


@app
async def websocket_rejected(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": "no"})


@app
async def websocket_denied_with_a_response(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await answer("x")
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": [SIZED]})
    await send({"type": "websocket.http.response.body", "body": b"no"})


@app
async def websocket_echo(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-one", b"1")]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await answer("x")
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": b"x" * 1000})


@app
async def websocket_closed_with_a_code(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4001, "reason": "enough"})


@app
async def websocket_error_before_accept(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    raise OfTheApp("before accept")


@app
async def websocket_error_after_accept(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    raise OfTheApp("after accept")


@app
async def websocket_left_open(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await receive()
    await send({"type": "websocket.accept"})


@app
async def lifespan_complete(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    await receive()
    scope["state"]["x"] = 1
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@app
async def lifespan_startup_fails(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


@app
async def lifespan_not_supported(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    raise OfTheApp("lifespan is not for me")


@app
async def lifespan_shutdown_fails(
    scope: Scope, receive: Receive, send: Send, answer: Answer
) -> None:
    await receive()
    await answer("x")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "no"})


def with_base_middleware(inner: ASGIApp) -> ASGIApp:
    return _PassOn(inner)


def with_compression(inner: ASGIApp) -> ASGIApp:
    return GZipMiddleware(inner, minimum_size=1)
