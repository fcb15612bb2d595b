"""Responses with headers of every kind."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from raw_apps.registry import SIZED, Answer, app, body, start


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
