"""Websockets of every ending, and lifespans."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from raw_apps.registry import SIZED, Answer, OfTheApp, app


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
