"""The middleware changes nothing but its headers: each raw app bare and wrapped, told apart.

Every app is run for each method, with the client leaving at every message it reads, and with the
server refusing every message it sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from raw_apps import APPS, Answer, App, with_base_middleware, with_compression
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware
from afterword.context import current_trail

ADDED = {b"afterword-data-id", b"afterword-feedback-token", b"access-control-expose-headers"}
ORIGIN = (b"origin", b"https://app.example.com")
DISCONNECT = {"http": "http.disconnect", "websocket": "websocket.disconnect"}

Outcome = dict[str, Any]


def incoming(kind: str) -> list[Message]:
    if kind == "websocket":
        texts: list[Message] = [{"type": "websocket.receive", "text": str(n)} for n in range(3)]
        return [{"type": "websocket.connect"}, *texts]
    if kind == "lifespan":
        return [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    chunks = [b'{"a": ', b"", b"1}"]
    return [
        {"type": "http.request", "body": chunk, "more_body": index + 1 < len(chunks)}
        for index, chunk in enumerate(chunks)
    ]


async def outcome(
    app: ASGIApp, kind: str, method: str, leaves_at: int | None, refused_at: int | None
) -> Outcome:
    """All that a server and a caller can see of one run."""
    events: list[Any] = []
    inbox = incoming(kind)[:leaves_at]
    sends = 0

    async def receive() -> Message:
        if inbox:
            message = inbox.pop(0)
        elif kind in DISCONNECT:
            message = {"type": DISCONNECT[kind]}
        else:
            await anyio.sleep_forever()
        events.append(("received", message))
        return message

    async def send(message: Message) -> None:
        nonlocal sends
        if sends == refused_at:
            sends += 1
            events.append("refused")
            raise OSError("the connection is gone")
        sends += 1
        events.append(seen(message))
        await anyio.lowlevel.checkpoint()

    scope: Scope = {
        "type": kind,
        "method": method,
        "path": "/x",
        "raw_path": b"/x",
        "root_path": "",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("site.example", 80),
        "client": ("192.0.2.1", 1),
        "headers": [(b"host", b"site.example"), ORIGIN],
        "state": {},
        "extensions": {},
    }
    error: BaseException | None = None
    try:
        await app(scope, receive, send)
    except (Exception, asyncio.CancelledError, SystemExit) as caught:
        error = caught
    assert kind != "http" or current_trail() is None
    return {
        "events": events,
        "error": described(error),
        "state": scope.pop("state"),
        "scope": scope,
    }


def seen(message: Message) -> Any:
    """A message as the server sees it, without what the middleware may add to it."""
    if message["type"] != "http.response.start" or not message.get("headers", ()):
        return {**message, "headers": []} if message["type"] == "http.response.start" else message
    headers = list(message["headers"])
    kept = [header for header in headers if len(header) != 2 or header[0] not in ADDED]
    names = [header[0] for header in headers if len(header) == 2]
    assert all(names.count(name) <= 1 for name in ADDED)
    return {**message, "headers": kept}


def described(error: BaseException | None, before: tuple[BaseException, ...] = ()) -> Any:
    """What can be told of an error, its causes and contexts included, but for its traceback."""
    if error is None or error in before:
        return None
    before = (*before, error)
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return {
        "type": type(error),
        "args": error.args[:1],
        "cause": described(error.__cause__, before),
        "context": described(error.__context__, before),
        "suppress": error.__suppress_context__,
        "inner": [described(each, before) for each in inner],
    }


@pytest.fixture(scope="module")
def answer() -> Any:
    client = Client("memory:", secret="k1:0123456789abcdef0123456789abcdef")

    @afterword.generation(client=client)
    async def answer(text: str) -> str:
        if text == "raise":
            raise ValueError("no answer")
        return text

    yield answer, client
    client.close()


def bare(app: App, answer: Answer) -> ASGIApp:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send, answer)

    return run


async def undecorated(text: str) -> str:
    if text == "raise":
        raise ValueError("no answer")
    return text


CONDITIONS: list[tuple[str, int | None, int | None]] = [
    *[(method, None, None) for method in ("GET", "HEAD", "POST")],
    *[("POST", leaves_at, None) for leaves_at in range(4)],
    *[("POST", None, refused_at) for refused_at in range(6)],
]


async def compare(
    name: str, around: Callable[[ASGIApp], ASGIApp], answer: Answer, client: Client
) -> int:
    kind, app = APPS[name]
    compared = 0
    for method, leaves_at, refused_at in CONDITIONS:
        if kind != "http" and method != "POST":
            continue
        conditions = (kind, method, leaves_at, refused_at)
        # A lifespan that waits for a shutdown that never comes waits either way.
        with anyio.move_on_after(0.05 if kind == "lifespan" and leaves_at is not None else 5):
            expected = await outcome(around(bare(app, undecorated)), *conditions)
            wrapped = FeedbackMiddleware(around(bare(app, answer)), client=client)
            assert await outcome(wrapped, *conditions) == expected, conditions
            compared += 1
    return compared


@pytest.mark.anyio
@pytest.mark.parametrize("name", APPS)
async def test_an_app_is_the_same_bare_and_wrapped(name: str, answer: Any) -> None:
    assert await compare(name, lambda app: app, *answer) >= 9


@pytest.mark.anyio
@pytest.mark.parametrize("name", [name for name, (kind, _) in APPS.items() if kind == "http"])
async def test_an_app_below_compression_is_the_same_bare_and_wrapped(
    name: str, answer: Any
) -> None:
    assert await compare(name, with_compression, *answer) == len(CONDITIONS)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name", ["sized", "unsized", "streamed", "no_content", "starlette_json", "starlette_stream",
             "starlette_refusal", "error_before_the_start", "error_after_the_start"],
)  # fmt: skip
async def test_an_app_below_a_base_middleware_is_the_same_bare_and_wrapped(
    name: str, answer: Any
) -> None:
    kind, app = APPS[name]
    for method in ("GET", "POST"):
        expected = await outcome(
            with_base_middleware(bare(app, undecorated)), kind, method, None, None
        )
        wrapped = FeedbackMiddleware(with_base_middleware(bare(app, answer[0])), client=answer[1])
        assert await outcome(wrapped, kind, method, None, None) == expected


class Meddling:
    """A middleware that does one thing it must not."""

    def __init__(self, app: ASGIApp, deed: str) -> None:
        self.app = app
        self.deed = deed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def meddle(message: Message) -> None:
            if self.deed == "drops a header" and "headers" in message:
                message = {**message, "headers": message["headers"][1:]}
            if self.deed == "joins the body":
                message.pop("more_body", None)
            await send(message)
            if self.deed == "says it twice":
                await send(message)

        if self.deed == "reads ahead":
            await receive()
        if self.deed == "marks the scope":
            scope["meddled"] = True
        try:
            await self.app(scope, receive, meddle)
        except Exception as error:
            if self.deed != "wraps errors":
                raise
            raise RuntimeError(*error.args) from error


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("deed", "name"),
    [
        ("drops a header", "sized"),
        ("joins the body", "streamed"),
        ("says it twice", "sized"),
        ("reads ahead", "echo"),
        ("marks the scope", "sized"),
        ("wraps errors", "error_after_the_start"),
    ],
)
async def test_a_middleware_that_meddles_would_be_noticed(deed: str, name: str) -> None:
    kind, app = APPS[name]
    expected = await outcome(bare(app, undecorated), kind, "POST", None, None)
    meddling = Meddling(bare(app, undecorated), deed)
    assert await outcome(meddling, kind, "POST", None, None) != expected
    harmless = Meddling(bare(app, undecorated), "nothing")
    assert await outcome(harmless, kind, "POST", None, None) == expected


def test_there_are_enough_apps_to_say_so() -> None:
    assert len(APPS) >= 60
