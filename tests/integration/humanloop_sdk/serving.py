"""Afterword's server on loopback, and a provider beside it that speaks OpenAI's wire format."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from provider_server import Events, Json
from starlette.types import ASGIApp

ANSWER = "So. "


def openai_like(body: dict[str, Any]) -> Any:
    """What an OpenAI-compatible server that knows nothing of `n` answers."""
    if body.get("stream"):
        pieces: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": "So"}}]},
            {"choices": [{"index": 0, "delta": {"content": ".\u2028"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        ]
        return Events([*((None, piece) for piece in pieces), (None, "[DONE]")])
    message = {"role": "assistant", "content": ANSWER}
    return Json(
        {
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        }
    )


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The base URL of an app that is served until the block ends."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        # The listener takes connections from the start; they wait until the server is up.
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
