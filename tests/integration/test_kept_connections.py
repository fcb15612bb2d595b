"""Servers that hang up on connections which they had kept, just when those are used again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from afterword.errors import StoreUnavailable
from afterword.stores.http import HttpStore
from afterword.stores.remote import MEDIA_TYPE

BODY = msgspec.msgpack.encode({"result": ["p"]})
ANSWER = (
    f"HTTP/1.1 200 OK\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode() + BODY


class OneEach:
    """Answers one request a connection as if it kept that, and hangs up on the next."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = 0
        #: So many connections get no answer at all.
        self.silent = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                with connection, suppress(OSError):
                    connection.settimeout(20)
                    received(connection)
                    if self.silent:
                        self.silent -= 1
                        continue
                    connection.sendall(ANSWER)
                    received(connection)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(20)


def received(connection: socket.socket) -> None:
    """Read one request, or to the end."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65_536)
        if not more:
            return
        head += more
    head, _, body = head.partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
    while left > 0:
        left -= len(connection.recv(65_536))


@pytest.fixture
def server() -> Iterator[OneEach]:
    server = OneEach()
    yield server
    server.close()


def test_the_request_is_made_again_on_a_new_connection(server: OneEach) -> None:
    store = HttpStore(server.url)
    for _ in range(10):
        assert store.projects() == ["p"]
    assert server.connections == 10
    store.close()


def test_connections_are_made_anew_after_five_minutes() -> None:
    now_s = 1_000.0
    connections: list[object] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self)
            super().setup()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(ANSWER)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        store = HttpStore(f"http://127.0.0.1:{server.server_port}", clock_s=lambda: now_s)
        for passed_s, made in ((0, 1), (299, 1), (2, 2), (300, 3), (1, 3)):
            now_s += passed_s
            assert store.projects() == ["p"]
            assert len(connections) == made
        store.close()
        server.shutdown()
        serving.join(20)


def test_a_new_connection_that_is_hung_up_on_is_a_server_that_is_away(server: OneEach) -> None:
    store = HttpStore(server.url)
    server.silent = 1
    with pytest.raises(StoreUnavailable, match="cannot reach"):
        store.projects()
    assert server.connections == 1
    assert store.projects() == ["p"]
    server.silent = 1
    with pytest.raises(StoreUnavailable):
        store.projects()
    assert server.connections == 3
    store.close()
