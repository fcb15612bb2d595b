"""Real uvicorn on loopback: the same bytes bare and wrapped, and streams whose reader leaves."""

from __future__ import annotations

import gc
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import uvicorn
from raw_apps import APPS, Answer, App
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, Limits, feedback_routes

WAIT_S = 20
HTTP = ("h11", "httptools")


@contextmanager
def served(app: ASGIApp, http: str = "h11") -> Iterator[tuple[str, int]]:
    """The address of an app behind a real server."""
    listener = socket.create_server(
        ("127.0.0.1", 0)
    )  # open at once: no need to wait for the thread
    config = uvicorn.Config(app, http=http, log_level="critical", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = server.force_exit = True
        thread.join(WAIT_S)
        listener.close()
        assert not thread.is_alive()


def ask(address: tuple[str, int], path: str, method: str = "POST") -> bytes:
    """All bytes of the answer to one request, without its date."""
    with socket.create_connection(address, WAIT_S) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nhost: site.example\r\ncontent-length: 7\r\n"
            "origin: https://app.example.com\r\nconnection: close\r\n\r\n"
            '{"a":1}'.encode()
        )
        answer = b""
        while chunk := connection.recv(1_000_000):
            answer += chunk
    return without(answer, b"date:")


def without(answer: bytes, *names: bytes) -> bytes:
    head, gap, rest = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(names)]
    return b"\r\n".join(lines) + gap + rest


#: What a server of its own makes different is left out: two of these send nothing for ever.
SERVED = [
    name
    for name, (kind, _) in APPS.items()
    if kind == "http"
    and name not in ("unfinished_body", "system_exit", "cancelled_by_itself", "zero_copy_send",
                     "path_send", "memoryview_body", "waits_for_the_client_to_leave")
]  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client("memory:", project="web", secret="k1:0123456789abcdef0123456789abcdef")
    yield client
    client.close()


def by_path(answer: Answer) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found: App = APPS[scope["path"].strip("/")][1]
        await found(scope, receive, send, answer)

    return app


@pytest.mark.parametrize("http", HTTP)
def test_the_bytes_on_the_wire_are_the_same_bare_and_wrapped(http: str, client: Client) -> None:
    async def bare(text: str) -> str:
        if text == "raise":
            raise ValueError("no answer")
        return text

    decorated = afterword.generation(client=client)(bare)
    wrapped = FeedbackMiddleware(by_path(decorated), client=client)
    ours = (b"afterword-", b"access-control-expose-headers:")
    announced = 0
    with served(by_path(bare), http) as one, served(wrapped, http) as other:
        for name in SERVED:
            for method in ("GET", "POST", "HEAD"):
                answer = ask(other, f"/{name}", method)
                assert without(answer, *ours) == ask(one, f"/{name}", method), (name, method)
                announced += b"afterword-data-id: " in answer.lower()
                assert method != "HEAD" or b"afterword-" not in answer.lower()
    assert announced > 40


@pytest.mark.parametrize("http", HTTP)
@pytest.mark.parametrize("kind", ["stream", "stream_sync", "events", "passed_on"])
def test_a_stream_whose_reader_leaves_is_recorded_with_what_was_sent(
    http: str, kind: str, client: Client
) -> None:
    left = {count: threading.Event() for count in range(4)}

    @afterword.generation(client=client)
    async def words(leave_after: int) -> AsyncIterator[str]:
        for index in range(leave_after):
            yield f"word {index}. "
        yield "last."
        await anyio.to_thread.run_sync(left[leave_after].wait, WAIT_S, abandon_on_cancel=True)
        for _ in range(1000):
            await anyio.sleep(0.001)  # until the server has noticed
            yield "+"

    @afterword.generation(client=client)
    def words_sync(leave_after: int) -> Iterator[str]:
        for index in range(leave_after):
            yield f"word {index}. "
        yield "last."
        left[leave_after].wait(WAIT_S)
        for _ in range(100_000):
            yield "+"

    async def stream(request: Request) -> Response:
        count = int(request.path_params["count"])
        if kind == "events":
            return EventSourceResponse({"data": word} async for word in words(count))
        return StreamingResponse(words_sync(count) if kind == "stream_sync" else words(count))

    class PassOn(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            return await call_next(request)  # type: ignore[no-any-return]

    below = [Middleware(PassOn)] if kind == "passed_on" else []
    inner = Starlette(routes=[Route("/{count}", stream)], middleware=below)
    finished = threading.Semaphore(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await FeedbackMiddleware(inner, client=client)(scope, receive, send)
        finally:
            finished.release()

    with served(app, http) as address:
        for count, leave in left.items():
            data_id = read_until(address, f"/{count}", b"last.")
            leave.set()
            assert finished.acquire(timeout=WAIT_S)
            generation = settled(client, data_id)
            assert generation.status == "abandoned"
            assert generation.error is None
            expected = "".join(f"word {index}. " for index in range(count)) + "last."
            assert generation.output.rstrip("+") == expected


def read_until(address: tuple[str, int], path: str, last: bytes) -> str:
    """Read a stream as far as `last`, leave, and give the data ID that its first bytes carried."""
    with socket.create_connection(address, WAIT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: site.example\r\n\r\n".encode())
        answer = b""
        while last not in answer:
            chunk = connection.recv(1000)
            assert chunk, answer
            answer += chunk
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
    return next(
        line.partition(": ")[2]
        for line in head.split("\r\n")
        if line.lower().startswith("afterword-data-id: ")
    )


def settled(client: Client, data_id: str) -> afterword.Generation:
    """The generation, which has ended."""
    gc.collect()  # a generator that a thread ran stays in a cycle of the server's, decorated or not
    found = client.get(data_id)
    assert found is not None
    return found


@pytest.mark.parametrize("http", HTTP)
def test_slow_senders_are_turned_away_and_others_served_meanwhile(
    http: str, client: Client
) -> None:
    limits = Limits(read_timeout_s=1.0, per_address=0)
    routes = [Mount("/feedback", routes=feedback_routes(client=client, limits=limits))]
    head = (
        b"POST /feedback/mine HTTP/1.1\r\nhost: site.example\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    with served(Starlette(routes=routes), http) as address:
        slow = [socket.create_connection(address, WAIT_S) for _ in range(100)]
        for connection in slow:
            connection.sendall(head % 100 + b'{"tok')
        body = json.dumps({"tokens": []}).encode()
        for _ in range(5):
            with socket.create_connection(address, WAIT_S) as quick:
                quick.sendall(head % len(body) + body)
                assert quick.recv(1000).startswith(b"HTTP/1.1 200")
        for connection in slow:
            with connection:
                answer = b""
                while chunk := connection.recv(1000):  # until the server closes
                    answer += chunk
            assert answer.startswith(b"HTTP/1.1 408")
