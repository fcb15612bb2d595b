"""How a raw app is noted, and the words its messages are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

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
