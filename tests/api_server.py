"""An Afterword server in this process, on a port of its own, for tests that speak HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from afterword.client import Client
from afterword.server import create_app


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI app; gives its URL."""
    server, thread, url = _start(app)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(10)


def _start(app: Any) -> tuple[uvicorn.Server, threading.Thread, str]:
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    return server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}"


_RUNNING: list[tuple[uvicorn.Server, threading.Thread, Client]] = []


def start(folder: Path) -> str:
    """A server on a SQLite file in `folder`, until `stop_last`; gives its URL."""
    client = Client(f"sqlite:///{folder / 'served.db'}")
    server, thread, url = _start(create_app(client))
    _RUNNING.append((server, thread, client))
    return url


def stop_last() -> None:
    """Stop what `start` started last."""
    server, thread, client = _RUNNING.pop()
    server.should_exit = True
    thread.join(10)
    client.close()
