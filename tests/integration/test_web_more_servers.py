"""Hypercorn and Granian on loopback: the same bytes bare and wrapped, as under uvicorn."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server as Granian
from hypercorn.asyncio import serve as serve_hypercorn
from hypercorn.config import Config
from starlette.types import ASGIApp
from test_web_servers import SERVED, WAIT_S, ask, by_path, without

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client("memory:", project="web", secret="k1:0123456789abcdef0123456789abcdef")
    yield client
    client.close()


@contextmanager
def hypercorn(app: ASGIApp) -> Iterator[tuple[str, int]]:
    """The address of an app behind Hypercorn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config()
        config.bind = [f"fd://{os.dup(listener.fileno())}"]  # it closes what it is given
        config.errorlog = logging.getLogger("hypercorn.quiet")
        config.errorlog.setLevel(logging.CRITICAL + 1)
        config.graceful_timeout = 0.5
        ended = threading.Event()

        async def run() -> None:
            async def until_ended() -> None:
                await asyncio.to_thread(ended.wait)

            await serve_hypercorn(app, config, shutdown_trigger=until_ended)  # type: ignore[arg-type]

        thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            ended.set()
            thread.join(WAIT_S)
            assert not thread.is_alive()


@contextmanager
def granian(app: ASGIApp) -> Iterator[tuple[str, int]]:
    """The address of an app behind Granian, in this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
    server = Granian(app, *address, interface=Interfaces.ASGINL, log_enabled=False)
    started = threading.Event()

    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        serving = asyncio.create_task(server.serve())
        while True:
            try:
                _, writer = await asyncio.open_connection(*address)
            except OSError:
                await asyncio.sleep(0.01)  # it tells nobody when it listens
            else:
                writer.close()
                break
        started.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(WAIT_S)
    try:
        yield address
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(WAIT_S)
        assert not thread.is_alive()


#: Apps that ASGI allows and a server does not: it answers 500 until our headers mend the message.
UNKNOWN_TO = {granian: ("no_headers_key",)}


@pytest.mark.parametrize("server", [hypercorn, granian])
def test_the_bytes_on_the_wire_are_the_same_bare_and_wrapped(
    server: Callable[[ASGIApp], AbstractContextManager[tuple[str, int]]], client: Client
) -> None:
    async def bare(text: str) -> str:
        if text == "raise":
            raise ValueError("no answer")
        return text

    decorated = afterword.generation(client=client)(bare)
    wrapped = FeedbackMiddleware(by_path(decorated), client=client)
    ours = (b"afterword-", b"access-control-expose-headers:")
    announced, different = 0, []
    with server(by_path(bare)) as one, server(wrapped) as other:
        for name in SERVED:
            for method in ("GET", "POST", "HEAD"):
                expected = ask(one, f"/{name}", method)
                answer = ask(other, f"/{name}", method)
                if without(answer, *ours) != expected:
                    different.append((name, method))
                announced += b"afterword-data-id: " in answer.lower()
    assert [found for found in different if found[0] not in UNKNOWN_TO.get(server, ())] == []
    assert announced > 40
