"""A proxy on loopback that does to HTTP what networks and servers do: cut, delay, drop, repeat, reorder.

It reads whole requests, answers what its script says or what the server behind it answers, and treats
both directions as its `toxics` say (the words are toxiproxy's). Without a server behind it, it is a stub
server. It runs on a thread of its own; `toxics` and `script` may be changed at any time from any thread.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

WAIT_S = 30.0
_LIMIT_BYTES = 64_000_000
_TLS_HELLO = b"\x16"


@dataclass(frozen=True)
class Request:
    """One request as it came. `at_s` is when, on the monotonic clock."""

    head: bytes
    body: bytes
    at_s: float

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def is_write(self) -> bool:
        """Whether it brings records."""
        return self.path.endswith("/write")

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The records it brings."""
        packed = self.headers.get("content-encoding") == "gzip"
        found: dict[str, list[dict[str, Any]]] = msgspec.msgpack.decode(
            gzip.decompress(self.body) if packed else self.body
        )
        return found

    @property
    def data_ids(self) -> list[str]:
        """The data IDs of the generations it brings."""
        return [row["id"] for row in self.rows.get("generations", ())] if self.is_write else []


@dataclass(frozen=True)
class Reply:
    """What is sent back: pieces with a pause after each. Then it hangs up."""

    pieces: tuple[bytes, ...]
    pause_s: float = 0.0


@dataclass(frozen=True)
class Toxics:
    """What happens on the way. Counts are of requests to come, and the proxy counts them down."""

    #: Waited before each request is sent on.
    latency_s: float = 0.0
    #: No faster than this, each way.
    bandwidth_bytes_s: float = 0.0
    #: Waited between the answer and hanging up; then every connection is one request's.
    slow_close_s: float | None = None
    #: Take connections, and nothing from them.
    timeout: bool = False
    #: RST after so many bytes of the request's body.
    reset_peer_bytes: int | None = None
    #: Send pieces of so many bytes.
    slicer_bytes: int = 0
    #: Hang up after so many bytes of the answer.
    limit_data_bytes: int | None = None
    #: The server takes records, and its answer is lost.
    drop_reply: int = 0
    #: The server gets the request so many times in a row.
    duplicate_request: int = 1
    #: Records that are kept back while their sender sees a failure; they arrive behind the next ones.
    reorder: int = 0


class FaultProxy:
    """In a `with` block it runs. `upstream` is the URL of the server behind it."""

    def __init__(
        self,
        upstream: str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.toxics = Toxics()
        #: What to answer instead of the server; None leaves it to the server.
        self.script: Callable[[Request], Reply | None] = lambda request: None
        self.requests: list[Request] = []
        #: Connections that came, TLS handshakes that began, and bytes that went out.
        self.connections = 0
        self.greetings = 0
        self.sent_bytes = 0
        self.kept_back: list[Request] = []
        self._upstream = None if upstream is None else urlsplit(upstream)
        self._tls = tls
        if tls is not None:
            tls.sni_callback = self._greeted
        self._came = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(address)
        self.port = int(self._listener.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def await_requests(self, count: int, wanted: Callable[[Request], bool] = bool) -> list[Request]:
        """Wait until so many such requests have come; gives them."""
        with self._came:
            assert self._came.wait_for(lambda: sum(map(wanted, self.requests)) >= count, WAIT_S), (
                f"{len(self.requests)} requests came"
            )
            return [request for request in self.requests if wanted(request)]

    def await_greetings(self, count: int) -> None:
        """Wait until so many have come."""
        with self._came:
            assert self._came.wait_for(lambda: self.greetings >= count, WAIT_S), self.greetings

    def deliver_kept_back(self) -> None:
        """Let what was kept back by `reorder` arrive now, the last first."""
        while self.kept_back:
            self._run(self._ask(self.kept_back.pop()))

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    async def _open(self) -> None:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._serve(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._server = await asyncio.start_server(
            connected, sock=self._listener, ssl=self._tls, limit=_LIMIT_BYTES, backlog=256
        )

    def _greeted(self, *hello: object) -> None:
        with self._came:
            self.greetings += 1
            self._came.notify_all()

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request on a connection; whether there may be another."""
        if self.toxics.timeout:
            await asyncio.sleep(3_600)
        request = await self._read(reader, writer)
        if request is None:
            return False
        toxics = self.toxics
        await asyncio.sleep(toxics.latency_s)
        reply = self.script(request)
        if reply is not None:
            for piece in reply.pieces:
                await self._send(writer, piece, toxics)
                await asyncio.sleep(reply.pause_s)
        elif toxics.reorder and request.is_write:
            self._count_down(toxics, reorder=toxics.reorder - 1)
            self.kept_back.append(request)
            return False
        else:
            answer = b""
            for _ in range(toxics.duplicate_request):
                answer = await self._ask(request)
            if toxics.drop_reply and request.is_write:
                self._count_down(toxics, drop_reply=toxics.drop_reply - 1)
                return False
            if toxics.limit_data_bytes is not None:
                await self._send(writer, answer[: toxics.limit_data_bytes], toxics)
                return False
            await self._send(writer, answer, toxics)
            if toxics.slow_close_s is None:
                return True
            await asyncio.sleep(toxics.slow_close_s)
        writer.write_eof() if writer.can_write_eof() else writer.close()
        return False

    def _count_down(self, toxics: Toxics, **left: int) -> None:
        if self.toxics is toxics:  # else the test has already said what is next
            self.toxics = replace(toxics, **left)

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Request | None:
        first = await reader.readexactly(1)
        if first == _TLS_HELLO:
            return None
        head = first + await reader.readuntil(b"\r\n\r\n")
        at_s = time.monotonic()
        request = Request(head[:-2], b"", at_s)
        length = int(request.headers.get("content-length", "0"))
        if self.toxics.reset_peer_bytes is not None:
            await reader.readexactly(min(length, self.toxics.reset_peer_bytes))
            _reset(writer)
            return None
        request = replace(request, body=await reader.readexactly(length))
        with self._came:
            self.requests.append(request)
            self._came.notify_all()
        return request

    async def _ask(self, request: Request) -> bytes:
        """What the server behind answers."""
        assert self._upstream is not None, "there is no server behind, and the script has no answer"
        reader, writer = await asyncio.open_connection(
            self._upstream.hostname, self._upstream.port, limit=_LIMIT_BYTES
        )
        try:
            writer.write(request.head + b"\r\n" + request.body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].split()[0]
            return head + await reader.readexactly(int(length))
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, toxics: Toxics) -> None:
        size = toxics.slicer_bytes or len(data) or 1
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            writer.write(piece)
            await writer.drain()
            self.sent_bytes += len(piece)
            if toxics.bandwidth_bytes_s:
                await asyncio.sleep(len(piece) / toxics.bandwidth_bytes_s)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Hang up with RST, as a server that was killed does."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
