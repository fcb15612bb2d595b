"""Answers that leave in one piece (layer 5).

uvicorn writes the head of an answer and its body apart: two calls of the system, two packets, and a client
that wakes up twice. Here what is written in one turn of the loop goes out together, in the next.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["CorkedProtocol"]

#: More than this is not held back.
_HELD_BYTES = 65_536


class _Corked:
    """A transport that holds back what is written until the loop's next turn."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not data:
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))
        self._size_bytes += len(data)
        if self._size_bytes > _HELD_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        return self._size_bytes + int(self._transport.get_write_buffer_size())

    def _flush(self) -> None:
        parts, self._parts, self._size_bytes = self._parts, [], 0
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))


class CorkedProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """uvicorn's protocol, whichever is installed, on such a transport."""

    def connection_made(self, transport: Any) -> None:
        corked: Any = _Corked(transport)
        super().connection_made(corked)
