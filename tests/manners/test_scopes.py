"""Timeouts, cancel scopes and context managers held across the yields of decorated generators work as in bare ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

import afterword
from afterword import Client

pytestmark = pytest.mark.anyio

Decorate = Callable[[Any], Any]
TWINS = pytest.mark.parametrize(
    "decorate", [lambda function: function, afterword.generation], ids=["bare", "decorated"]
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="scopes")
    yield made
    made.close()


def check(client: Client, decorate: Decorate, status: str, output: Any) -> None:
    """One record of the decorated twin, and none of the bare one."""
    assert client.flush(10)
    found = [(each.status, each.output) for each in client.generations().items]
    assert found == ([(status, output)] if decorate is afterword.generation else [])
    assert client.status().faults == 0


@TWINS
async def test_a_timeout_inside_a_generator_fires_between_its_yields(
    client: Client, decorate: Decorate
) -> None:
    task = asyncio.current_task()
    assert task is not None

    @decorate
    async def words() -> AsyncIterator[str]:
        async with asyncio.timeout(0.01):
            yield "a"
            assert asyncio.current_task() is task
            await asyncio.Event().wait()

    got = []
    with pytest.raises(TimeoutError):
        async for word in words():
            got.append(word)
    assert (got, task.cancelling()) == (["a"], 0)
    check(client, decorate, "error", "a")


@TWINS
async def test_a_timeout_inside_a_generator_reaches_its_consumer_at_work(
    client: Client, decorate: Decorate
) -> None:
    @decorate
    async def words() -> AsyncIterator[str]:
        async with asyncio.timeout(0.01):
            yield "a"

    stream = words()
    assert await anext(stream) == "a"
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()  # the consumer runs inside the generator's timeout
    with pytest.raises(TimeoutError):
        await stream.athrow(asyncio.CancelledError())
    check(client, decorate, "error", "a")


@TWINS
async def test_a_timeout_around_a_stream_cancels_it(client: Client, decorate: Decorate) -> None:
    cleaned = []

    @decorate
    async def words() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(asyncio.current_task())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            async for _ in words():
                pass
    assert cleaned == [asyncio.current_task()]
    check(client, decorate, "cancelled", "a")


@TWINS
async def test_a_cancel_scope_held_across_a_yield_belongs_to_its_task(
    client: Client, decorate: Decorate
) -> None:
    @decorate
    async def words() -> AsyncIterator[Any]:
        with anyio.move_on_after(0.01) as scope:
            yield "a"
            await anyio.sleep_forever()
        yield scope.cancelled_caught

    assert [word async for word in words()] == ["a", True]
    check(client, decorate, "ok", ["a", True])


@TWINS
async def test_a_task_group_held_across_a_yield_ends_as_before(
    client: Client, decorate: Decorate
) -> None:
    @decorate
    async def words() -> AsyncIterator[str]:
        send, receive = anyio.create_memory_object_stream[str]()
        async with anyio.create_task_group() as group, receive:
            group.start_soon(feed, send)
            async for word in receive:
                yield word

    async def feed(send: Any) -> None:
        async with send:
            await send.send("a")
            await send.send("b")

    assert [word async for word in words()] == ["a", "b"]
    check(client, decorate, "ok", "ab")


@TWINS
async def test_an_outer_cancel_scope_ends_a_stream_without_a_word(
    client: Client, decorate: Decorate
) -> None:
    @decorate
    async def words() -> AsyncIterator[str]:
        yield "a"
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01) as scope:
        async for _ in words():
            pass
    assert scope.cancelled_caught
    check(client, decorate, "cancelled", "a")


@TWINS
async def test_a_coroutine_is_cancelled_and_may_refuse(client: Client, decorate: Decorate) -> None:
    @decorate
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "refused"
        return "never"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "refused"
    assert (task.cancelled(), task.cancelling()) == (False, 1)
    check(client, decorate, "ok", "refused")


@TWINS
async def test_asyncio_tells_decorated_coroutines_apart_as_it_did(
    client: Client, decorate: Decorate
) -> None:
    @decorate
    async def answer(word: str) -> str:
        await asyncio.sleep(0)
        return word

    assert await asyncio.gather(answer("a"), answer("b")) == ["a", "b"]
    assert await asyncio.wait_for(answer("c"), 5) == "c"
    assert await asyncio.shield(answer("d")) == "d"
    assert [await each for each in asyncio.as_completed([answer("e")])] == ["e"]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(answer("f"), name="mine")
    assert (task.result(), task.get_name()) == ("f", "mine")
    coroutine = answer("g")
    assert asyncio.iscoroutine(coroutine)
    loop = asyncio.get_running_loop()
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    assert await asyncio.wrap_future(future) == "g"


@TWINS
async def test_context_managers_are_made_of_decorated_generators(
    client: Client, decorate: Decorate
) -> None:
    events: list[Any] = []

    @contextlib.contextmanager
    @decorate
    def opened(name: str) -> Iterator[str]:
        """Docs."""
        try:
            yield name
        except LookupError as error:
            events.append(repr(error))
        finally:
            events.append("closed")

    @contextlib.asynccontextmanager
    @decorate
    async def aopened(name: str) -> AsyncIterator[str]:
        try:
            yield name
        except LookupError as error:
            events.append(repr(error))
        finally:
            await asyncio.sleep(0)
            events.append("aclosed")

    assert (opened.__name__, opened.__doc__) == ("opened", "Docs.")
    with opened("a") as name:
        events.append(name)
    with opened("b"):
        raise LookupError("in b")
    async with aopened("c") as name, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(aopened("d"))
        events.append(name)
    async with aopened("e"):
        raise LookupError("in e")
    error = ValueError("in f")
    with pytest.raises(ValueError, match="in f") as caught:
        async with aopened("f"):
            raise error
    assert caught.value is error
    assert error.__context__ is None
    assert events == [
        "a", "closed", "LookupError('in b')", "closed", "c", "aclosed", "aclosed",
        "LookupError('in e')", "aclosed", "aclosed",
    ]  # fmt: skip
    if decorate is afterword.generation:
        assert client.flush(10)
        found = {str(each.output): each.status for each in client.generations().items}
        assert found == {"a": "ok", "b": "ok", "c": "ok", "d": "ok", "e": "ok", "f": "error"}


@TWINS
async def test_streams_are_closed_where_they_are_told_to_be(
    client: Client, decorate: Decorate
) -> None:
    closed: list[str] = []

    @decorate
    def words() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("sync")

    @decorate
    async def awords() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("async")

    with contextlib.closing(words()) as stream:
        assert next(stream) == "a"
    async with contextlib.aclosing(awords()) as astream:
        assert await anext(astream) == "a"
    assert closed == ["sync", "async"]
    if decorate is afterword.generation:
        assert client.flush(10)
        found = [(each.status, each.output) for each in client.generations().items]
        assert found == [("abandoned", "a")] * 2


class Answer:
    """As SDKs have it: entered, iterated, left."""

    def __init__(self) -> None:
        self.left = False

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(self, *error: Any) -> bool:
        self.left = True
        return bool(error[0]) and issubclass(error[0], LookupError)

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "a"
        yield "b"


@TWINS
async def test_an_object_that_is_entered_and_iterated_stays_what_it_was(
    client: Client, decorate: Decorate
) -> None:
    made = Answer()

    @decorate
    async def ask() -> Answer:
        return made

    async with await ask() as answer:
        assert isinstance(answer, Answer)
        assert [word async for word in answer] == ["a", "b"]
    assert made.left
    check(client, decorate, "ok", "ab")
    async with await ask():
        raise LookupError  # which its own __aexit__ takes care of
