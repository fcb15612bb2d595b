"""Apps with bad manners, and apps that fail."""

from __future__ import annotations

import asyncio

import anyio
from starlette.types import Receive, Scope, Send

from raw_apps.registry import SIZED, Answer, OfTheApp, app, body, start


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
