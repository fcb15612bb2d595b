"""A pytest plugin for Starlette's own tests: each app that they test stands behind our middleware.

With ``GENERATING=1`` each request makes a generation first, so that the headers are added.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from starlette import testclient
from starlette.types import ASGIApp, Receive, Scope, Send

import afterword
from afterword.asgi import FeedbackMiddleware

CLIENT = afterword.Client("memory:", secret="k1:0123456789abcdef0123456789abcdef")


@afterword.generation(client=CLIENT)
def answer() -> str:
    return "hi"


class Generating:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and os.environ.get("GENERATING"):
            answer()
        await self.app(scope, receive, send)


_init = testclient.TestClient.__init__


@functools.wraps(_init)
def _wrapping(self: Any, *args: Any, **kwargs: Any) -> None:
    _init(self, *args, **kwargs)
    transport = self._transport
    transport.app = FeedbackMiddleware(Generating(transport.app), client=CLIENT)


testclient.TestClient.__init__ = _wrapping  # type: ignore[method-assign]
