"""Every kind of callable: it behaves as before, and its call is a generation with its data ID in context."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import afterword
from afterword import Client, Generation

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="kinds")
    yield made
    made.close()


@afterword.generation
def module_level(question: str) -> str:
    return question.upper()


class Bot:
    tone = "kind"

    @afterword.generation
    def method(self, question: str) -> str:
        return f"{self.tone} {question}"

    @afterword.generation
    async def amethod(self, question: str) -> str:
        return f"{self.tone} {question}"

    @afterword.generation
    @classmethod
    def inner_class(cls, question: str) -> str:
        return f"{cls.tone} {question}"

    @classmethod
    @afterword.generation
    def outer_class(cls, question: str) -> str:
        return f"{cls.tone} {question}"

    @afterword.generation
    @staticmethod
    def inner_static(question: str) -> str:
        return question

    @staticmethod
    @afterword.generation
    def outer_static(question: str) -> str:
        return question

    @afterword.generation
    def __call__(self, question: str) -> str:
        return question


def only(client: Client) -> Generation:
    (found,) = client.generations().items
    return found


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda bot: module_level("why"), "WHY"),
        (lambda bot: bot.method("why"), "kind why"),
        (lambda bot: Bot.method(bot, "why"), "kind why"),
        (lambda bot: asyncio.run(bot.amethod("why")), "kind why"),
        (lambda bot: bot.inner_class("why"), "kind why"),
        (lambda bot: Bot.outer_class("why"), "kind why"),
        (lambda bot: bot.inner_static("why"), "why"),
        (lambda bot: Bot.outer_static("why"), "why"),
        (lambda bot: bot("why"), "why"),
        (lambda bot: afterword.generation(functools.partial(bot.method, "why"))(), "kind why"),
    ],
)
def test_a_call_returns_what_it_did_and_is_one_generation(
    client: Client, call: Callable[[Bot], str], expected: str
) -> None:
    before = client.status().captured
    assert call(Bot()) == expected
    client.flush(5)
    found = client.generations().items[0]
    assert (found.output, found.status, found.project) == (expected, "ok", "kinds")
    assert client.status().captured > before


@pytest.mark.parametrize("name", ["method", "inner_class", "outer_class"])
def test_self_and_cls_are_left_out_of_the_inputs(client: Client, name: str) -> None:
    getattr(Bot(), name)(question="why")
    getattr(Bot(), name)("why")
    assert [found.inputs for found in client.generations().items] == [{"question": "why"}] * 2


def test_positional_gathered_and_keyword_arguments_have_their_names(client: Client) -> None:
    @afterword.generation
    def answer(question: str, *more: int, tone: str = "kind", **options: bool) -> None: ...

    answer("why", 1, 2, tone="curt", fast=True)
    assert only(client).inputs == {"question": "why", "more": [1, 2], "tone": "curt", "fast": True}


def test_the_snapshot_is_of_the_moment_of_the_call(client: Client) -> None:
    @afterword.generation
    def answer(messages: list[dict[str, str]]) -> dict[str, list[int]]:
        messages.append({"role": "assistant"})
        return {"n": [1]}

    messages = [{"role": "user"}]
    returned = answer(messages)
    returned["n"].append(2)
    messages.clear()
    found = only(client)
    assert found.inputs == {"messages": [{"role": "user"}]}
    assert found.output == {"n": [1]}


def test_the_very_object_is_returned_and_the_very_exception_is_raised(client: Client) -> None:
    value, error = object(), KeyError("mine")

    @afterword.generation
    def give() -> object:
        return value

    @afterword.generation
    def fail() -> None:
        raise error

    assert give() is value
    with pytest.raises(KeyError) as caught:
        fail()
    assert caught.value is error
    assert error.__cause__ is None and error.__context__ is None
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert len(frames) == 3  # this test, one of ours, the function
    failed, _ = client.generations().items
    assert failed.status == "error"
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == ("KeyError", "'mine'")


async def test_async_exceptions_gain_one_frame(client: Client) -> None:
    @afterword.generation
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        await fail()
    names = [entry.name for entry in caught.traceback]
    assert len(names) == 3
    await client.aflush()
    assert only(client).status == "error"


def test_wrong_arguments_raise_at_the_call_and_record_nothing_odd(client: Client) -> None:
    @afterword.generation
    async def answer(question: str) -> str:
        return question

    with pytest.raises(TypeError, match="question"):
        answer()  # type: ignore[call-arg]


def test_it_answers_questions_as_the_function_would() -> None:
    def plain(question: str, tone: str = "kind") -> str:
        "Doc."
        return question

    async def awaited() -> None: ...

    def generator() -> Iterator[int]:
        yield 1

    async def agenerator() -> AsyncIterator[int]:
        yield 1

    for bare in (plain, awaited, generator, agenerator):
        decorated: Any = afterword.generation(bare)
        for ask in (
            inspect.isfunction,
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
            inspect.signature,
            inspect.getdoc,
            repr,
        ):
            assert ask(decorated) == ask(bare), ask
        assert inspect.unwrap(decorated) is bare
        assert decorated.__name__ == bare.__name__
        assert decorated.__annotations__ == bare.__annotations__


def test_a_module_level_function_pickles_and_copies() -> None:
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert copy.copy(module_level) is module_level
    assert copy.deepcopy(module_level) is module_level
    assert pickle.loads(pickle.dumps(Bot().inner_static))("x") == "x"


def test_generators_keep_their_whole_protocol(client: Client) -> None:
    @afterword.generation
    def talk(question: str) -> Any:
        heard = []
        try:
            while len(heard) < 3:
                heard.append((yield f"{question}{len(heard)}"))
        except LookupError:
            yield "caught"
        return heard

    stream = talk("q")
    assert inspect.isgenerator(stream)
    data_id = stream.data_id
    assert afterword.last_data_id() != data_id  # it has not begun
    assert next(stream) == "q0"
    assert afterword.last_data_id() == data_id
    assert afterword.current_data_id() is None
    assert stream.send("a") == "q1"
    assert stream.throw(LookupError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value == ["a"]
    found = client.get(data_id)
    assert found is not None
    assert (found.output, found.status) == ("q0q1caught", "ok")
    assert found.first_token_ms is not None


def test_yield_from_gives_the_return_value(client: Client) -> None:
    @afterword.generation
    def inner() -> Any:
        yield "a"
        return "returned"

    def outer() -> Any:
        value = yield from inner()
        yield value

    assert list(outer()) == ["a", "returned"]


async def test_async_generators_keep_their_whole_protocol(client: Client) -> None:
    seen = []

    @afterword.generation
    async def talk() -> Any:
        try:
            seen.append((yield "a"))
            seen.append((yield "b"))
        finally:
            seen.append("closed")

    stream = talk()
    assert inspect.isasyncgen(stream)
    assert await anext(stream) == "a"
    assert await stream.asend("x") == "b"
    await stream.aclose()
    assert seen == ["x", "closed"]
    found = await client.aget(stream.data_id)
    assert found is not None
    assert (found.output, found.status) == ("ab", "abandoned")


async def test_a_timeout_held_across_a_yield_still_fires(client: Client) -> None:
    @afterword.generation
    async def slow() -> AsyncIterator[str]:
        async with asyncio.timeout(0.01):
            yield "a"
            await asyncio.Event().wait()

    got = []
    with pytest.raises(TimeoutError):
        async for chunk in slow():
            got.append(chunk)
    assert got == ["a"]


async def test_a_cancelled_stream_is_cancelled_and_keeps_what_it_gave(client: Client) -> None:
    begun = asyncio.Event()

    @afterword.generation
    async def slow() -> AsyncIterator[str]:
        yield "a"
        begun.set()
        await asyncio.Event().wait()

    async def consume() -> None:
        async for _ in slow():
            pass

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.aflush()
    found = only(client)
    assert (found.output, found.status) == ("a", "cancelled")


@pytest.mark.parametrize("end", ["break", "del"])
def test_a_stream_that_is_left_is_abandoned_once(client: Client, end: str) -> None:
    @afterword.generation
    def words() -> Iterator[str]:
        yield "a"
        yield "b"

    if end == "break":
        for _ in words():
            break
    else:
        stream = words()
        next(stream)
        del stream
    gc.collect()
    found = only(client)
    assert (found.output, found.status) == ("a", "abandoned")


def test_a_stream_that_never_started_leaves_no_record(client: Client) -> None:
    @afterword.generation
    def words() -> Iterator[str]:
        yield "a"

    with afterword.trail(data_id="announced") as trail:
        stream = words()
        assert stream.data_id == "announced"
        del stream
        gc.collect()
        module_level("x")
        assert trail.data_ids == ["announced"]
    assert [found.id for found in client.generations().items] == ["announced"]


def test_chunks_that_are_no_text_are_a_list(client: Client) -> None:
    @afterword.generation
    def parts() -> Iterator[dict[str, int]]:
        for number in range(3):
            yield {"n": number}

    list(parts())
    assert only(client).output == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_function_that_returns_a_stream_gives_a_stream(client: Client) -> None:
    @afterword.generation
    def make(question: str) -> Iterator[str]:
        return (word for word in question.split())

    stream: Any = make("a b")
    assert stream.data_id
    assert list(stream) == ["a", "b"]
    assert only(client).output == "ab"


async def test_logged_gives_the_value_and_its_data_id(client: Client) -> None:
    @afterword.generation
    async def awaited(question: str) -> str:
        return question

    plain = module_level.logged("a")
    later = await awaited.logged("b")
    method = Bot().method.logged("c")
    await client.aflush()
    for logged, output in ((plain, "A"), (later, "b"), (method, "kind c")):
        assert logged.value == output
        found = await client.aget(logged.data_id or "")
        assert found is not None
        assert found.output == output


def test_nested_calls_are_children_of_the_one_around_them(client: Client) -> None:
    seen = {}

    @afterword.generation(name="inner")
    def inner() -> None:
        seen["inner"] = afterword.current_data_id()

    @afterword.generation(name="outer")
    def outer() -> None:
        seen["outer"] = afterword.current_data_id()
        inner()
        assert afterword.current_data_id() == seen["outer"]

    outer()
    assert afterword.current_data_id() is None
    assert afterword.last_data_id() == seen["outer"]
    found = client.get(str(seen["inner"]))
    assert found is not None
    assert (found.parent_id, found.root_id) == (seen["outer"], seen["outer"])


def test_annotate_adds_while_running_and_after(client: Client) -> None:
    @afterword.generation(model="declared", tags=["a"], metadata={"k": 1})
    def answer() -> str:
        afterword.annotate(
            model="real", usage={"prompt_tokens": 3, "completion_tokens": 4}, tags=["b"]
        )
        afterword.annotate(metadata={"l": 2})
        return "x"

    answer()
    client.flush(5)
    afterword.annotate(metadata={"m": 3}, version="late")
    found = only(client)
    assert (found.model, found.version, found.tags) == ("real", "late", ["a", "b"])
    assert found.metadata == {"k": 1, "l": 2, "m": 3}
    assert found.usage == afterword.Usage(3, 4)


def test_pickers_choose_what_is_logged(client: Client) -> None:
    @afterword.generation(
        inputs=lambda inputs: {"length": len(inputs["question"])}, output=lambda value: value[:2]
    )
    def answer(question: str) -> str:
        return "secret"

    assert answer("four") == "secret"
    found = only(client)
    assert (found.inputs, found.output) == ({"length": 4}, "se")


def test_a_picker_that_raises_costs_only_what_it_picks(client: Client) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("picker")

    @afterword.generation(output=broken)
    def answer() -> str:
        return "x"

    assert answer() == "x"
    assert only(client).output is None
    assert client.status().faults == 1


def test_trail_names_user_and_session_and_carry_takes_it_along(client: Client) -> None:
    with afterword.trail(user="ada", session="s1", metadata={"job": 7}) as trail:
        module_level("a")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(module_level, "lost").result()
            pool.submit(afterword.carry(module_level), "carried").result()
        assert len(trail.data_ids) == 2
        assert trail.last == afterword.last_data_id() == trail.data_ids[1]
    by_input = {found.inputs["question"]: found for found in client.generations().items}
    assert (by_input["carried"].user, by_input["carried"].session) == ("ada", "s1")
    assert by_input["a"].metadata == {"job": 7}
    assert by_input["lost"].user is None


async def test_concurrent_tasks_never_see_each_others_ids(client: Client) -> None:
    module_level("before, so that this task has a trail of its own")

    @afterword.generation
    async def answer(number: int) -> str | None:
        await asyncio.sleep(0)
        mine = afterword.current_data_id()
        await asyncio.sleep(0)
        assert afterword.current_data_id() == mine
        return mine

    async def request(number: int) -> None:
        async with afterword.trail() as trail:
            returned = await answer(number)
            assert trail.data_ids == [returned]
            assert afterword.last_data_id() == returned

    async def without_trail(number: int) -> None:
        assert afterword.last_data_id() is None
        assert await answer(number) == afterword.last_data_id()

    await asyncio.gather(*map(request, range(50)), *map(without_trail, range(50)))


def test_a_store_that_cannot_be_had_does_not_reach_the_caller(tmp_path: Any) -> None:
    lost = Client(f"sqlite:///{tmp_path}/no/such/folder/x.db")

    @afterword.generation(client=lost)
    def answer() -> str:
        return "x"

    assert answer() == "x"
    assert lost.flush(0.3) is False
    status = lost.status()
    assert (status.captured, status.buffered) == (1, 1)
    assert status.faults >= 1


async def test_an_async_function_that_returns_a_stream_ends_with_that_stream(
    client: Client,
) -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    @afterword.generation
    async def opened() -> AsyncIterator[str]:
        return chunks()

    stream = await opened()
    data_id = afterword.last_data_id()
    assert [chunk async for chunk in stream] == ["a", "b"]
    assert client.flush(10)
    assert data_id is not None
    generation = client.get(data_id)
    assert generation is not None
    assert (generation.status, generation.output) == ("ok", "ab")
