"""A running server of the Logs pages, Chromium to visit it, and a witness of what it does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Page, Request
from starlette.applications import Starlette
from starlette.routing import Mount

from afterword.client import Client
from afterword.server import create_app


@dataclass
class Witness:
    """What a browser tab did that it should not have."""

    dialogs: list[str] = field(default_factory=list[str])
    console: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    def watch(self, page: Page) -> None:
        def dismissed(dialog: Any) -> None:
            self.dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", dismissed)
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._requested(request))

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def assert_nothing_but(self, origin: str) -> None:
        assert self.dialogs == []
        assert self.errors == []
        assert self.console == []
        assert [url for url in self.requests if not url.startswith(origin)] == []


@dataclass
class Site:
    """A running server with its Logs pages under ``/afterword``."""

    origin: str
    client: Client

    @property
    def logs(self) -> str:
        return f"{self.origin}/afterword/"

    def generation(self, data_id: str) -> str:
        return f"{self.logs}generations/{data_id}"


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """A server of the Logs pages over a database in `folder`, on a free port of loopback."""
    client = Client(f"sqlite:///{folder}/logs.db", "support-bot")
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Mount("/afterword", create_app(client))])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    started = threading.Event()
    startup = server.startup

    async def announced_startup(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announced_startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert started.wait(10)
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", client)
    finally:
        server.should_exit = True
        thread.join(10)
        client.close()
