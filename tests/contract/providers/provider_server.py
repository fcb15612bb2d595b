"""A provider on loopback: it answers with prepared replies, in the real wire format."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Event = tuple[str | None, Any]


@dataclass
class Json:
    """A reply in one piece."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    packed: bool = False


@dataclass
class Events:
    """A streamed reply. `then` is what follows: the proper end, a cut connection, or silence."""

    events: list[Event]
    then: str = "end"


@dataclass
class Sent:
    """A request as it arrived."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Scene:
    """Replies to come, in order, and the requests that came. The last reply is given again."""

    base_url: str
    replies: list[Any]
    sent: list[Sent] = field(default_factory=list)
    #: Set once a request has come.
    asked: threading.Event = field(default_factory=threading.Event)

    def next_reply(self, body: dict[str, Any]) -> Any:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply(body) if callable(reply) else reply


class ProviderServer:
    """The server, in a thread of its own. Each test has a scene with its own base URL."""

    def __init__(self) -> None:
        self._scenes: dict[str, Scene] = {}
        self._names = itertools.count()
        self._over = asyncio.Event()
        # With the protocol named, asyncio turns Nagle's delays off, which cost 40 ms a stream.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        app = Starlette(routes=[Route("/{scene}/{path:path}", self._answer, methods=["POST"])])
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = _Announcing(config)
        self._thread = threading.Thread(target=self._run, name="provider")
        self._thread.start()
        self._server.is_up.wait()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def scene(self, *replies: Any) -> Scene:
        name = f"scene-{next(self._names)}"
        scene = Scene(f"http://127.0.0.1:{self.port}/{name}", list(replies))
        self._scenes[name] = scene
        return scene

    def stop(self) -> None:
        assert self._server.loop is not None
        self._server.loop.call_soon_threadsafe(self._over.set)
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    async def _answer(self, request: Request) -> Response:
        scene = self._scenes[request.path_params["scene"]]
        body = await request.json()
        scene.sent.append(Sent(request.path_params["path"], body, dict(request.headers)))
        scene.asked.set()
        reply = scene.next_reply(body)
        if isinstance(reply, Json):
            answer = JSONResponse(reply.body, reply.status, reply.headers)
            if reply.packed:
                answer.body = gzip.compress(answer.body)
                answer.headers["content-encoding"] = "gzip"
                answer.headers["content-length"] = str(len(answer.body))
            return answer
        return StreamingResponse(self._frames(reply), media_type="text/event-stream")

    async def _frames(self, reply: Events) -> AsyncIterator[bytes]:
        for name, data in reply.events:
            line = "" if name is None else f"event: {name}\n"
            text = data if isinstance(data, str) else json.dumps(data)
            yield f"{line}data: {text}\n\n".encode()
            # Each event is a piece of its own on the way.
            await asyncio.sleep(0)
        if reply.then == "cut":
            raise ConnectionResetError("cut by the test")
        if reply.then == "silence":
            await self._over.wait()


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.is_up.set()
