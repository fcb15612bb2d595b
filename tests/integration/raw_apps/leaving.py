"""Apps that read, and whose clients leave."""

from __future__ import annotations

import anyio
from starlette.types import Receive, Scope, Send

from raw_apps.registry import SIZED, Answer, OfTheApp, app, body, start


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
