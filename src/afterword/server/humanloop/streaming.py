"""Streams as the v4 client reads them: one ``data: `` line an event (layer 5)."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from afterword.client import Client
from afterword.codec import to_json
from afterword.errors import DeliveryError
from afterword.server.humanloop.providers import Piece, ProviderFailed
from afterword.server.humanloop.recording import make_durable

__all__ = ["EventLines", "Streamed"]

_LOGGER = logging.getLogger("afterword.server")


@dataclass(slots=True)
class Streamed:
    """The streams of a provider, one a sample; the first piece of the first has been read."""

    first: Piece
    pieces: AsyncGenerator[Piece, None]
    again: Callable[[], AsyncGenerator[Piece, None]]

    async def sample(self, index: int) -> AsyncGenerator[Piece, None]:
        """The pieces of one sample."""
        if index == 0:
            yield self.first
        async with aclosing(self.pieces if index == 0 else self.again()) as pieces:
            async for piece in pieces:
                yield piece


class EventLines(Response):
    """Sends events as they come, and does not end the body properly when they break off.

    A v4 client skips what it cannot parse, so an error amid a stream reaches it only as a
    connection that ends too early.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[Mapping[str, Any], None], client: Client) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._events = events
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; ends early when the client leaves."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        is_whole = False
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            is_whole = await self._send_all(send)
            group.cancel_scope.cancel()
        if is_whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send) -> bool:
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    line = f"data: {_one_line(to_json(event))}\n\n".encode()
                    await send({"type": "http.response.body", "body": line, "more_body": True})
            await run_in_threadpool(make_durable, self._client)
        except (ProviderFailed, DeliveryError) as error:
            _LOGGER.warning("a stream of Humanloop's API broke off: %s", error)
            return False
        return True


def _one_line(text: str) -> str:
    # Clients of v5 end lines where Unicode says that they may end.
    for mark in ("\x85", "\u2028", "\u2029"):
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
