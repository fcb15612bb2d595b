"""The data ID in context is the right one or none, never a neighbour's: tasks, threads, generators, recursion."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

import afterword
from afterword import Client, Generation

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="context")
    yield made
    made.close()


def everything(client: Client) -> list[Generation]:
    assert client.flush(60)
    found: list[Generation] = []
    after = None
    while True:
        page = client.generations(limit=500, after=after)
        found += page.items
        if page.next is None:
            return found
        after = page.next


# --- threads ----------------------------------------------------------------------------------


@afterword.generation(name="seen")
def seen() -> tuple[str | None, str | None]:
    return afterword.current_data_id(), afterword.last_data_id()


def asked() -> tuple[str | None, str | None]:
    return afterword.current_data_id(), afterword.last_data_id()


def in_thread(act: Callable[[], Any]) -> Any:
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(act()))
    thread.start()
    thread.join()
    return got[0]


def test_a_thread_without_our_context_sees_nothing_of_it(client: Client) -> None:
    with afterword.trail(user="ada") as trail:
        seen()
        assert in_thread(asked) == (None, None)
        current, _ = in_thread(seen)
        assert len(trail.data_ids) == 1
    assert client.get(current).user is None  # type: ignore[union-attr]


def test_a_thread_with_a_copied_context_is_in_the_same_trail(client: Client) -> None:
    with afterword.trail(user="ada") as trail:
        context = contextvars.copy_context()
        mine, _ = in_thread(lambda: context.run(seen))
        assert trail.data_ids == [mine]
    assert client.get(mine).user == "ada"  # type: ignore[union-attr]


def test_a_copied_context_without_a_trail_is_nobody_elses(client: Client) -> None:
    seen()  # leaves an implicit trail behind, which belongs to this thread
    context = contextvars.copy_context()
    assert in_thread(lambda: context.run(asked)) == (None, None)


def test_a_thread_begun_inside_a_call_is_its_child_only_with_its_context(client: Client) -> None:
    @afterword.generation
    def around() -> Any:
        context = contextvars.copy_context()
        return in_thread(lambda: context.run(seen)), in_thread(seen), asked()

    (copied, _), (bare, _), (mine, _) = around()
    assert client.get(copied).parent_id == mine  # type: ignore[union-attr]
    assert client.get(bare).parent_id is None  # type: ignore[union-attr]


async def test_to_thread_is_in_the_trail_of_whoever_awaits_it(client: Client) -> None:
    async def work(number: int) -> None:
        async with afterword.trail(user=str(number)) as trail:
            mine, _ = await asyncio.to_thread(seen)
            other, _ = await anyio.to_thread.run_sync(seen)
            assert trail.data_ids == [mine, other]

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(work(number))
    assert sorted(str(each.user) for each in await asyncio.to_thread(everything, client)) == sorted(
        [str(number) for number in range(50)] * 2
    )


async def test_an_executor_sees_the_trail_only_when_it_is_carried(client: Client) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:

        async def work(number: int) -> None:
            async with afterword.trail(user=str(number)) as trail:
                lost, _ = await loop.run_in_executor(pool, seen)
                mine, _ = await loop.run_in_executor(pool, afterword.carry(seen))
                assert trail.data_ids == [mine]
                assert (await client.aget(lost)).user is None  # type: ignore[union-attr]
                assert (await client.aget(mine)).user == str(number)  # type: ignore[union-attr]

        await asyncio.gather(*map(work, range(30)))
        assert await loop.run_in_executor(pool, asked) == (None, None)


async def test_a_task_begun_in_a_call_and_outliving_it_is_not_taken_for_the_next(
    client: Client,
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def later() -> Any:
        begun.set()
        await go.wait()
        return asked(), seen()

    @afterword.generation(name="first")
    async def first() -> tuple[str | None, asyncio.Task[Any]]:
        task = asyncio.create_task(later())
        await begun.wait()
        return afterword.current_data_id(), task

    mine, task = await first()
    seen()
    go.set()
    (current, _), (_, _) = await task
    assert current is None
    assert mine is not None


# --- generators -------------------------------------------------------------------------------


@afterword.generation(name="steps")
def steps(name: str) -> Iterator[tuple[str, str | None]]:
    for _ in range(5):
        yield name, afterword.current_data_id()


@afterword.generation(name="asteps")
async def asteps(name: str) -> AsyncIterator[tuple[str, str | None]]:
    for _ in range(5):
        await asyncio.sleep(0)
        yield name, afterword.current_data_id()


def test_interleaved_generators_keep_to_themselves(client: Client) -> None:
    streams: list[Any] = [steps(str(number)) for number in range(20)]
    for _ in range(5):
        random.Random(7).shuffle(streams)
        for stream in streams:
            assert next(stream)[1] == stream.data_id
            assert afterword.current_data_id() is None
    assert all(next(stream, None) is None for stream in streams)
    assert {each.parent_id for each in everything(client)} == {None}


async def test_interleaved_async_generators_keep_to_themselves(client: Client) -> None:
    streams: list[Any] = [asteps(str(number)) for number in range(20)]

    async def one(stream: Any) -> None:
        assert (await anext(stream))[1] == stream.data_id

    for _ in range(5):
        await asyncio.gather(*map(one, streams))
        assert afterword.current_data_id() is None


def test_a_generator_stepped_inside_another_call_is_not_its_child(client: Client) -> None:
    @afterword.generation(name="other")
    def other(stream: Any) -> tuple[Any, Any]:
        mine = afterword.current_data_id()
        step = next(stream)[1]
        return step, (mine, afterword.current_data_id())

    stream: Any = steps("mine")
    next(stream)
    step, (before, after) = other(stream)
    assert step == stream.data_id
    assert before == after != step


def test_nested_generators_are_children_of_the_one_around(client: Client) -> None:
    @afterword.generation(name="around")
    def around() -> Iterator[Any]:
        mine = afterword.current_data_id()
        for step in steps("nested"):
            assert afterword.current_data_id() == mine
            yield mine, step[1]
        yield from ((mine, step[1]) for step in steps("delegated"))

    pairs = list(around())
    assert afterword.current_data_id() is None
    parents = {child: parent for parent, child in pairs}
    assert len(parents) == 2
    for child, parent in parents.items():
        assert child != parent
        assert client.get(child).parent_id == parent  # type: ignore[union-attr]


def test_a_second_iteration_is_a_generation_of_its_own_in_the_same_trail(client: Client) -> None:
    class Answer:
        def __iter__(self) -> Iterator[Any]:
            yield afterword.current_data_id()

    @afterword.generation
    def make() -> Answer:
        return Answer()

    with afterword.trail(user="ada") as trail:
        answer = make()
        ids = [*answer, *answer]
        assert trail.data_ids == ids
        assert len(set(ids)) == 2
    with afterword.trail(user="eve") as other:
        ids += list(answer)
        assert other.data_ids == []
    assert [client.get(each).user for each in ids] == ["ada"] * 3  # type: ignore[union-attr]


def test_a_generator_collected_during_another_request_is_not_of_it(client: Client) -> None:
    noted: list[Any] = []

    @afterword.generation(name="left")
    def left(circle: list[Any]) -> Iterator[Any]:
        try:
            yield afterword.current_data_id()
        finally:
            noted.append((afterword.current_data_id(), seen()[0]))

    def leave() -> str:
        circle: list[Any] = []
        stream: Any = left(circle)
        circle += [stream, circle]
        with afterword.trail(user="ada"):
            next(stream)
        return str(stream.data_id)

    theirs = leave()
    with afterword.trail(user="eve") as trail:

        @afterword.generation(name="mine")
        def mine() -> str | None:
            gc.collect()
            return afterword.current_data_id()

        own = mine()
        assert trail.data_ids == [own]
    ((during, inside),) = noted
    assert during in (theirs, None)  # absent when the collector meets the generator first
    found = {each.id: each for each in everything(client)}
    assert found[theirs].status == "abandoned"
    if inside is not None:
        assert (found[inside].user, found[inside].parent_id) in (("ada", theirs), (None, None))


# --- recursion --------------------------------------------------------------------------------


@pytest.fixture
def deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    yield
    sys.setrecursionlimit(before)


#: Python 3.12 bounds calls through C, which wrapt's are, and nothing sets that bound.
DEPTH = 400 if sys.version_info[:2] == (3, 12) else 900


@pytest.mark.usefixtures("deep")
def test_a_recursion_of_900_calls_has_900_parents(client: Client) -> None:
    @afterword.generation
    def dig(depth: int) -> list[str | None]:
        mine = afterword.current_data_id()
        below = dig(depth - 1) if depth else []
        assert afterword.current_data_id() == mine
        return [*below, mine]

    ids = dig(DEPTH)
    assert afterword.current_data_id() is None
    found = {each.id: each for each in everything(client)}
    assert [found[str(each)].parent_id for each in ids] == [*ids[1:], None]


def test_a_recursion_without_end_fails_as_before_and_leaves_the_context_clean(
    client: Client,
) -> None:
    @afterword.generation
    def dig() -> None:
        dig()

    for _ in range(3):
        with pytest.raises(RecursionError):
            dig()
        assert afterword.current_data_id() is None
    with afterword.trail() as trail:
        mine, _ = seen()
        assert trail.data_ids == [mine]
    assert client.get(str(mine)).parent_id is None  # type: ignore[union-attr]
