"""One request to a raw ASGI app, and apps that make generations."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

import afterword
from afterword import Client

ID, TOKEN, EXPOSE = (
    b"afterword-data-id",
    b"afterword-feedback-token",
    "access-control-expose-headers",
)


SIZED = (b"content-length", b"2")


async def respond(
    app: ASGIApp, method: str = "POST", headers: Iterable[tuple[bytes, bytes]] = ()
) -> list[Message]:
    """What an app sends in answer to one request."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"site.example"), *headers],
    }
    await app(scope, receive, send)
    return sent


def responding(
    client: Client,
    *headers: tuple[bytes, bytes],
    status: int = 200,
    generations: int = 1,
    later: int = 0,
) -> ASGIApp:
    """An app that makes generations before its response starts, and others after it."""

    @afterword.generation(client=client)
    def answer() -> str:
        return "hi"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(generations):
            answer()
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for _ in range(later):
            answer()
        await send({"type": "http.response.body", "body": b"hi"})

    return app


def headers_of(messages: list[Message]) -> dict[bytes, bytes]:
    return dict(messages[0]["headers"])


def stored(client: Client) -> list[str]:
    client.flush()
    return [found.id for found in client.generations().items]
