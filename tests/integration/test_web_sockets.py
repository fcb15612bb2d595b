"""Websockets of every ending under four servers, and lifespans: message by message as without us."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

import pytest
import uvicorn
from hypercorn.asyncio import serve as serve_hypercorn
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError
from raw_apps import APPS, Answer, App
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from test_web_more_servers import granian, hypercorn
from test_web_servers import WAIT_S, ask, served
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, handle

Serve = Callable[[ASGIApp], AbstractContextManager[tuple[str, int]]]
TRIES = 3
SERVERS: dict[str, Serve] = {
    "h11": partial(served, http="h11"),
    "httptools": partial(served, http="httptools"),
    "hypercorn": hypercorn,
    "granian": granian,
}
LARGE = "x" * 1_000_000
#: What a client says to an app that listens: a hundred messages, one of them large.
TALK = [*map(str, range(99)), LARGE]
LISTENING = ("websocket_echo", "websocket_chat")
MESSAGES_SAID_LEAVING = 5


async def websocket_chat(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    """Several generations a message, and a handle in each reply."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        async with afterword.trail():
            for _ in range(2):
                await answer(message["text"][:10])
            handle()
        await send({"type": "websocket.send", "text": message["text"]})


SOCKETS: dict[str, App] = {
    name: found for name, (kind, found) in APPS.items() if kind == "websocket"
} | {"websocket_chat": websocket_chat}


class Noting:
    """Notes, by path, what an app and its server tell each other."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.heard: dict[str, list[Any]] = {}
        self.sent: dict[str, list[Any]] = {}
        self.over = threading.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", scope["type"])
        heard, sent = self.heard.setdefault(path, []), self.sent.setdefault(path, [])

        async def listen() -> Message:
            message = await receive()
            heard.append(message["type"])
            return message

        async def tell(message: Message) -> None:
            sent.append(message)
            await send(message)

        try:
            await self.app(scope, listen, tell)
        except Exception as error:
            sent.append((type(error), error.args))
            raise
        finally:
            if scope["type"] == "websocket":
                self.over.release()


def by_name(answer: Answer) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].strip("/").partition(".")[0]
        await SOCKETS[name](scope, receive, send, answer)

    return app


def talk(address: tuple[str, int], path: str, words: list[str], *, leaves: bool) -> list[Any]:
    """All that a client hears; one that `leaves` breaks the connection off with words under way."""
    connection = WSConnection(ConnectionType.CLIENT)
    heard: list[Any] = []
    with socket.create_connection(address, WAIT_S) as wire:
        wire.sendall(connection.send(Request(host="site.example", target=path)))
        unsaid = iter(words)
        is_over = False
        while not is_over:
            try:
                data = wire.recv(1_000_000)
            except ConnectionResetError:
                data = b""
            if not data:
                return [*heard, "end"]
            connection.receive_data(data)
            for event in connection.events():
                heard.append(told(event))
                if isinstance(event, AcceptConnection):
                    # A server may hang up on one that leaves before the last word is out.
                    with suppress(ConnectionError) if leaves else nullcontext():
                        for word in itertools.islice(unsaid, MESSAGES_SAID_LEAVING):
                            wire.sendall(connection.send(TextMessage(word)))
                    if leaves:
                        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        return heard
                whole = isinstance(event, (TextMessage, BytesMessage)) and event.message_finished
                if whole or (isinstance(event, AcceptConnection) and not words):
                    word = next(unsaid, None)
                    if word is not None:
                        wire.sendall(connection.send(TextMessage(word)))
                    elif heard.count("message") == len(words):
                        wire.sendall(connection.send(CloseConnection(1000)))
                is_over = isinstance(event, (CloseConnection, RejectData)) or (
                    isinstance(event, RejectConnection) and not event.has_body
                )
    return heard


def talk_to(
    noting: Noting, address: tuple[str, int], path: str, words: list[str], *, leaves: bool = False
) -> list[Any]:
    """As `talk`. Granian, embedded, at times hangs up on a socket that it has just taken, bare or wrapped."""
    for _ in range(TRIES):
        try:
            return talk(address, path, words, leaves=leaves)
        except ConnectionError:
            assert noting.over.acquire(timeout=WAIT_S)
            del noting.heard[path], noting.sent[path]
    raise AssertionError(f"{path}: the server hung up each time")


def told(event: Event) -> Any:
    """What stays the same from one run to another."""
    if isinstance(event, AcceptConnection):
        return "accepted", event.subprotocol, lasting(event.extra_headers)
    if isinstance(event, RejectConnection):
        return "rejected", event.status_code, lasting(event.headers)
    if isinstance(event, RejectData):
        return "body", bytes(event.data)
    if isinstance(event, CloseConnection):
        return "closed", event.code, event.reason
    if isinstance(event, (TextMessage, BytesMessage)):
        return "message" if event.message_finished else "part"
    return type(event).__name__


def lasting(headers: Any) -> list[tuple[bytes, bytes]]:
    passing = (b"date", b"sec-websocket-accept")
    return sorted((name, value) for name, value in headers if name.lower() not in passing)


async def undecorated(text: str) -> str:
    return text


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client("memory:", project="web", secret="k1:0123456789abcdef0123456789abcdef")
    yield client
    client.close()


@pytest.mark.parametrize("server", SERVERS)
def test_a_websocket_is_the_same_bare_and_wrapped(server: str, client: Client) -> None:
    decorated = afterword.generation(client=client)(undecorated)
    one, other = (
        Noting(by_name(undecorated)),
        Noting(FeedbackMiddleware(by_name(decorated), client=client)),
    )
    before = client.flush(10) and client.status().stored
    compared = 0
    with SERVERS[server](one) as bare, SERVERS[server](other) as wrapped:
        for name in SOCKETS:
            for words in ([], TALK) if name in LISTENING else ([],):
                path = f"/{name}.{len(words)}"
                expected = without_parts(talk_to(one, bare, path, words))
                assert without_parts(talk_to(other, wrapped, path, words)) == expected, path
                assert one.over.acquire(timeout=WAIT_S)
                assert other.over.acquire(timeout=WAIT_S)
                assert other.sent[path] == one.sent[path]
                assert other.heard[path] == one.heard[path]
                compared += len(one.sent[path])
        for name in LISTENING:
            gone = [
                talk_to(noting, address, f"/{name}.gone", TALK, leaves=True)
                for noting, address in ((one, bare), (other, wrapped))
            ]
            assert gone[0] == gone[1]
            assert one.over.acquire(timeout=WAIT_S)
            assert other.over.acquire(timeout=WAIT_S)
    assert compared > len(TALK)
    assert client.flush(10)
    assert client.status().stored - before >= 2 * len(TALK)  # the chat makes two for each


def without_parts(heard: list[Any]) -> list[Any]:
    """How a large message is cut is up to the wire."""
    return [each for each in heard if each != "part"]


# --- lifespans --------------------------------------------------------------------------------


def spanning(name: str, answer: Answer) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = APPS[name if scope["type"] == "lifespan" else "sized"][1]
        await found(scope, receive, send, answer)

    return app


def under_uvicorn(app: ASGIApp, lifespan: Any, starts: bool) -> bytes:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan=lifespan, log_level="critical", access_log=False)
        server = uvicorn.Server(config)
        exits: list[Any] = []

        def run() -> None:
            try:
                server.run(sockets=[listener])
            except SystemExit as exit_:
                exits.append(exit_.code)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        answer = ask(listener.getsockname(), "/sized") if starts else None
        server.should_exit = starts
        thread.join(WAIT_S)
        assert not thread.is_alive()
        return b"%r" % exits if answer is None else answer


def under_hypercorn(app: ASGIApp, lifespan: Any, starts: bool) -> bytes:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config()
        config.bind = [f"fd://{os.dup(listener.fileno())}"]
        config.errorlog = logging.getLogger("hypercorn.quiet")
        config.errorlog.setLevel(logging.CRITICAL + 1)
        ended = threading.Event()

        async def run() -> None:
            until_ended = partial(asyncio.to_thread, ended.wait)
            try:
                await serve_hypercorn(app, config, shutdown_trigger=until_ended)  # type: ignore[arg-type]
            except LifespanFailureError as error:
                failures.append(error)

        failures: list[Exception] = []
        thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
        thread.start()
        answer = ask(listener.getsockname(), "/sized") if starts else None
        ended.set()
        thread.join(WAIT_S)
        assert not thread.is_alive()
        return b"%r" % failures if answer is None else answer


UVICORN = [
    ("lifespan_complete", "on", True), ("lifespan_complete", "off", True),
    ("lifespan_startup_fails", "on", False), ("lifespan_shutdown_fails", "on", True),
    ("lifespan_not_supported", "auto", True), ("lifespan_not_supported", "on", False),
]  # fmt: skip
HYPERCORN = [
    ("lifespan_complete", "on", True),
    ("lifespan_startup_fails", "on", False),
    ("lifespan_not_supported", "on", True),
]


@pytest.mark.parametrize(
    ("run", "name", "lifespan", "starts"),
    [(under_uvicorn, *each) for each in UVICORN] + [(under_hypercorn, *each) for each in HYPERCORN],
)
def test_a_lifespan_is_the_same_bare_and_wrapped(
    run: Callable[[ASGIApp, str, bool], bytes],
    name: str,
    lifespan: str,
    starts: bool,
    client: Client,
) -> None:
    decorated = afterword.generation(client=client)(undecorated)
    one = Noting(spanning(name, undecorated))
    other = Noting(FeedbackMiddleware(spanning(name, decorated), client=client))
    expected, answer = run(one, lifespan, starts), run(other, lifespan, starts)
    if starts:
        assert answer.startswith(expected.partition(b"\r\n")[0])
        assert b"afterword-data-id" in answer.lower()
    else:
        assert answer == expected
    assert other.sent.get("lifespan") == one.sent.get("lifespan")
    assert other.heard.get("lifespan") == one.heard.get("lifespan")
    assert ("lifespan" in one.sent) == (lifespan != "off")
