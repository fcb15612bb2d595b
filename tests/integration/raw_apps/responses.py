"""Responses as they should be."""

from __future__ import annotations

import anyio
from starlette.types import Receive, Scope, Send

from raw_apps.registry import SIZED, Answer, app, body, start


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
