"""A load generator: many connections, each with one request after the other, on plain sockets.

In a process of its own, so that client and server have a core each.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from dataclasses import dataclass

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: requests per second, and milliseconds a request took."""

    per_second: float
    p50_ms: float
    p99_ms: float
    refused: int
    requests: int


def request(path: str, body: bytes = b"", headers: str = "") -> bytes:
    """An HTTP/1.1 request as bytes: POST when there is a body."""
    method = "POST" if body else "GET"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def load(port: int, requests: list[bytes], connections: int = CONNECTIONS) -> Load:
    """Send all requests over that many connections."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_load, (port, requests, connections))


def _load(port: int, requests: list[bytes], connections: int) -> Load:
    return asyncio.run(_run(port, requests, connections))


async def _run(port: int, requests: list[bytes], connections: int) -> Load:
    left = iter(requests)
    took_ms: list[float] = []
    refused = 0

    async def connection() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for sent in left:
                started_s = time.perf_counter()
                writer.write(sent)
                status = await _answer(reader)
                took_ms.append((time.perf_counter() - started_s) * 1_000)
                refused += status >= 300
        finally:
            writer.close()

    started_s = time.perf_counter()
    await asyncio.gather(*[connection() for _ in range(connections)])
    spent_s = time.perf_counter() - started_s
    cuts = statistics.quantiles(took_ms, n=100)
    return Load(len(requests) / spent_s, cuts[49], cuts[98], refused, len(requests))


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while (size_bytes := int(await reader.readline(), 16)) > 0:
            await reader.readexactly(size_bytes + 2)
        await reader.readline()
    else:
        at = lower.index(b"content-length:") + 15
        await reader.readexactly(int(lower[at : lower.index(b"\r\n", at)]))
    return int(head[9:12])
