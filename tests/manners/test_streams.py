"""Each way a stream may end, for each kind of stream: one record, with what it gave and how it ended."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stream_kinds import ASYNC, SYNC, Refused, opened

import afterword
from afterword import Client

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="streams")
    yield made
    made.close()


# --- the endings ------------------------------------------------------------------------------


def exhausted(make: Callable[..., Any]) -> None:
    assert list(make()) == ["a", "b"]


def left_by_break(make: Callable[..., Any]) -> None:
    for word in make():
        if word == "b":
            break


def deleted(make: Callable[..., Any]) -> None:
    stream = iter(make())
    assert next(stream) + next(stream) == "ab"
    del stream


def collected(make: Callable[..., Any]) -> None:
    circle: list[Any] = [iter(make())]
    circle.append(circle)
    assert next(circle[0]) + next(circle[0]) == "ab"
    del circle


def closed(make: Callable[..., Any]) -> None:
    stream = iter(make())
    assert next(stream) + next(stream) == "ab"
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)


def failed(make: Callable[..., Any]) -> None:
    error = Refused("no")
    with pytest.raises(Refused) as caught:
        list(make(error=error))
    assert caught.value is error


def left_by_an_error(make: Callable[..., Any]) -> None:
    def consume() -> None:
        for word in make():
            if word == "b":
                raise Refused

    with pytest.raises(Refused):
        consume()


def handed_on(make: Callable[..., Any]) -> None:
    def around() -> Iterator[str]:
        yield from make()

    assert list(around()) == ["a", "b"]


@pytest.mark.parametrize("kind", SYNC)
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (exhausted, "ok"), (handed_on, "ok"), (left_by_break, "abandoned"), (deleted, "abandoned"),
        (collected, "abandoned"), (closed, "abandoned"), (left_by_an_error, "abandoned"), (failed, "error"),
    ],
)  # fmt: skip
def test_a_stream_is_recorded_once_however_it_ends(
    client: Client, end: Callable[..., None], status: str, kind: str
) -> None:
    end(SYNC[kind])
    gc.collect()
    check(client, status, kind)


def check(client: Client, status: str, kind: str = "") -> None:
    assert client.flush(10)
    (found,) = client.generations().items
    text = ["ab", 1] if kind == "in a tuple" else "ab"
    assert (found.status, found.output) == (status, text)
    assert (found.error is not None) == (status == "error")
    assert found.first_token_ms is not None
    assert found.duration_ms is not None
    assert 0 <= found.first_token_ms <= found.duration_ms
    counts = client.status()
    assert (counts.captured, counts.stored, counts.faults) == (1, 1, 0)


async def aexhausted(make: Callable[..., Any]) -> None:
    assert [word async for word in await make()] == ["a", "b"]


async def aleft_by_break(make: Callable[..., Any]) -> None:
    async for word in await make():
        if word == "b":
            break


async def adeleted(make: Callable[..., Any]) -> None:
    stream = aiter(await make())
    assert await anext(stream) + await anext(stream) == "ab"
    del stream


async def acollected(make: Callable[..., Any]) -> None:
    circle: list[Any] = [aiter(await make())]
    circle.append(circle)
    assert await anext(circle[0]) + await anext(circle[0]) == "ab"
    del circle


async def aclosed(make: Callable[..., Any]) -> None:
    stream = aiter(await make())
    assert await anext(stream) + await anext(stream) == "ab"
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def afailed(make: Callable[..., Any]) -> None:
    error = Refused("no")
    with pytest.raises(Refused) as caught:
        async for _ in await make(error=error):
            pass
    assert caught.value is error


async def _consume(make: Callable[..., Any], reached: asyncio.Event) -> None:
    async for word in await make(hang=True):
        if word == "b":
            reached.set()


async def cancelled(make: Callable[..., Any]) -> None:
    reached = asyncio.Event()
    task = asyncio.create_task(_consume(make, reached))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def timed_out(make: Callable[..., Any]) -> None:
    reached = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            asyncio.get_running_loop().call_later(
                0.01, lambda: limit.reschedule(asyncio.get_running_loop().time())
            )
            await _consume(make, reached)
    assert reached.is_set()


async def client_gone(make: Callable[..., Any]) -> None:
    """As the middleware says of a browser that hangs up, before the server cancels."""
    with afterword.trail() as trail:
        reached = asyncio.Event()
        task = asyncio.create_task(_consume(make, reached))
        await reached.wait()
        trail.client_gone = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("kind", ASYNC)
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (aexhausted, "ok"), (aleft_by_break, "abandoned"), (adeleted, "abandoned"),
        (acollected, "abandoned"), (aclosed, "abandoned"), (afailed, "error"),
        (cancelled, "cancelled"), (timed_out, "cancelled"), (client_gone, "abandoned"),
    ],
)  # fmt: skip
async def test_an_async_stream_is_recorded_once_however_it_ends(
    client: Client, end: Callable[..., Any], status: str, kind: str
) -> None:
    async def make(**options: Any) -> Any:
        return await opened(kind, **options)

    await end(make)
    gc.collect()
    for _ in range(3):
        await asyncio.sleep(0)  # asyncio closes what was collected in a task of its own
    check(client, status)


_PROGRAM = """
import asyncio, sys
import afterword

client = afterword.configure("sqlite:///" + sys.argv[1])

@afterword.generation(name="sync")
def words():
    try:
        yield "a"
        yield "b"
    finally:
        pass

@afterword.generation(name="async")
async def awords():
    try:
        yield "a"
        yield "b"
    finally:
        await asyncio.sleep(0)

@afterword.generation(name="object")
def answer():
    return Answer()

class Answer:
    def __iter__(self):
        yield "a"
        yield "b"

class Circle:
    pass

stream, circle, never = words(), Circle(), words()
next(stream), next(stream)
circle.me, circle.stream = circle, iter(answer())
next(circle.stream), next(circle.stream)

async def main():
    global kept
    kept = awords()
    await anext(kept), await anext(kept)
    for number in range(2):
        async for word in awords():
            if word == "b":
                break

asyncio.run(main())
ENDING
"""


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("raise SystemExit(4)", 4)]
)
def test_streams_open_at_the_interpreters_exit_are_recorded_and_nothing_is_said(
    tmp_path: Path, ending: str, code: int
) -> None:
    program, path = tmp_path / "program.py", tmp_path / "records.db"
    program.write_text(_PROGRAM.replace("ENDING", ending))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(program), str(path)],
        env={**os.environ, "PYTHONASYNCIODEBUG": "0"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    client = Client(f"sqlite:///{path}")
    found = sorted((each.name, each.status, each.output) for each in client.generations().items)
    client.close()
    assert found == [("async", "abandoned", "ab")] * 3 + [
        ("object", "abandoned", "ab"),
        ("sync", "abandoned", "ab"),
    ]


def test_chunks_are_joined_by_what_they_are(client: Client) -> None:
    for chunks, joined in (
        (["a", "", "b"], "ab"),
        ([], None),
        ([b"a", b"b"], b"ab"),
        ([{"n": 1}, "a"], [{"n": 1}, "a"]),
        (["a", None], ["a", None]),
    ):

        @afterword.generation
        def stream(chunks: list[Any] = chunks) -> Iterator[Any]:
            yield from chunks

        made: Any = stream()
        assert list(made) == chunks
        assert client.flush(10)
        found = client.get(made.data_id)
        assert found is not None
        assert found.output == joined
        assert (found.first_token_ms is None) == (not chunks)
