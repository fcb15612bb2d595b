"""Hypothesis drives generators step by step: a decorated one leaves the same trace as its bare twin, and one record."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import afterword
from afterword import Client


class Ours(Exception):
    pass


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="protocols")
    gc.collect()
    gc.freeze()  # what is there now need not be looked at with each example
    yield made
    gc.unfreeze()
    made.close()


# --- bodies, as nested tuples -----------------------------------------------------------------

_FAULTS: dict[str, type[BaseException]] = {
    "ours": Ours,
    "value": ValueError,
    "exit": GeneratorExit,
    "stop": StopIteration,
    "cancel": asyncio.CancelledError,
}

_leaves: SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("yield"), st.sampled_from(["a", "b", ""])),
    st.tuples(st.just("echo")),
    st.tuples(st.just("return"), st.integers(0, 3)),
    st.tuples(st.just("raise"), st.sampled_from(["ours", "value", "stop"])),
    st.tuples(st.just("wait")),
    st.tuples(st.just("call")),
)


def _within(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    body = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("finally"), body, body),
        st.tuples(
            st.just("except"), st.sampled_from(["ours", "value", "exit", "cancel"]), body, body
        ),
        st.tuples(st.just("from"), body),
        st.tuples(st.just("loop"), body),
        st.tuples(st.just("timeout"), body),
    )


_bodies = st.lists(st.recursive(_leaves, _within, max_leaves=6), min_size=1, max_size=4)


def _sync(body: Any, trace: list[Any]) -> Any:
    for statement in body:
        match statement:
            case ("yield", word):
                trace.append(("sent", (yield word)))
            case ("echo",):
                got = yield "echo"
                trace.append(("echo", (yield repr(got))))
            case ("return", value):
                return value
            case ("raise", kind):
                raise _FAULTS[kind]("body")
            case ("call",):
                trace.append(_nested())
            case ("finally", inner, after):
                try:
                    value = yield from _sync(inner, trace)
                finally:
                    trace.append(("finally", sys.exc_info()[0]))
                    yield from _sync(after, trace)
                if value is not None:
                    return value
            case ("except", kind, inner, after):
                try:
                    value = yield from _sync(inner, trace)
                    if value is not None:
                        return value
                except _FAULTS[kind] as error:
                    trace.append(("caught", repr(error), repr(error.__context__)))
                    yield from _sync(after, trace)
            case ("from", inner):
                value = yield from _sync(inner, trace)
                trace.append(("from", value))
            case ("loop", inner):
                for _ in range(2):
                    yield from _sync(inner, trace)
    return None


async def _async(body: Any, trace: list[Any]) -> Any:
    for statement in body:
        match statement:
            case ("yield", word):
                trace.append(("sent", (yield word)))
            case ("echo",):
                got = yield "echo"
                trace.append(("echo", (yield repr(got))))
            case ("return", _):
                return
            case ("raise", kind):
                raise _FAULTS[kind]("body")
            case ("wait",):
                await asyncio.sleep(0)
                trace.append("waited")
            case ("call",):
                trace.append(_nested())
            case ("finally", inner, after):
                try:
                    async for word in _async(inner, trace):
                        trace.append(("sent", (yield word)))
                finally:
                    trace.append(("finally", sys.exc_info()[0]))
                    await asyncio.sleep(0)
                    async for word in _async(after, trace):
                        yield word
            case ("except", kind, inner, after):
                try:
                    async for word in _async(inner, trace):
                        trace.append(("sent", (yield word)))
                except _FAULTS[kind] as error:
                    trace.append(("caught", repr(error), repr(error.__context__)))
                    async for word in _async(after, trace):
                        yield word
            case ("from", inner):
                async with contextlib.aclosing(_async(inner, trace)) as words:
                    async for word in words:
                        yield word
            case ("loop", inner):
                for _ in range(2):
                    async for word in _async(inner, trace):
                        yield word
            case ("timeout", inner):
                async with asyncio.timeout(30):
                    async for word in _async(inner, trace):
                        trace.append(("sent", (yield word)))


@afterword.generation(name="nested")
def _nested() -> str:
    return "nested"


# --- driving ----------------------------------------------------------------------------------

_steps = st.lists(
    st.one_of(
        st.just(("next",)),
        st.just(("next",)),
        st.tuples(st.just("send"), st.sampled_from([None, "x", 1])),
        st.tuples(st.just("throw"), st.sampled_from(sorted(_FAULTS))),
        st.just(("close",)),
        st.just(("rest",)),
        st.just(("cancel",)),
        st.just(("timeout",)),
        st.just(("context",)),
    ),
    max_size=8,
)


def _shown(error: BaseException) -> Any:
    context = error.__context__
    value = error.value if isinstance(error, StopIteration) else None
    return type(error), str(error), value, type(context), type(error.__cause__)


class _State(NamedTuple):
    """A stream after a step; and, if that was its last, how it ended."""

    over: bool
    running: bool
    ended: str


def _ending(error: BaseException) -> str:
    if isinstance(error, (StopIteration, StopAsyncIteration)):
        return "ok"
    if isinstance(error, GeneratorExit):
        return "abandoned"
    # A consumer's own timeout reaches the body as a cancellation.
    cancelled = isinstance(error, (asyncio.CancelledError, TimeoutError))
    return "cancelled" if cancelled else "error"


def _drive(stream: Any, steps: Any) -> list[Any]:
    seen: list[Any] = []
    for step in steps:
        ended = "abandoned" if step == ("close",) else "ok"
        try:
            match step:
                case ("send", value):
                    seen.append(stream.send(value))
                case ("throw", kind):
                    seen.append(stream.throw(_FAULTS[kind]("thrown")))
                case ("close",):
                    seen.append(stream.close())
                case ("rest",):
                    for chunk in stream:
                        seen.append(chunk)
                case ("context",):
                    try:
                        raise LookupError("around")
                    except LookupError:
                        seen.append(next(stream))
                case _:
                    seen.append(next(stream))
        except BaseException as error:
            seen.append(_shown(error))
            ended = _ending(error)
        seen.append(_State(stream.gi_frame is None, stream.gi_running, ended))
    return seen


async def _adrive(stream: Any, steps: Any) -> list[Any]:
    seen: list[Any] = []
    for step in steps:
        ended = "abandoned" if step == ("close",) else "ok"
        try:
            match step:
                case ("send", value):
                    seen.append(await stream.asend(value))
                case ("throw", kind):
                    seen.append(await stream.athrow(_FAULTS[kind]("thrown")))
                case ("close",):
                    seen.append(await stream.aclose())
                case ("rest",):
                    async for chunk in stream:
                        seen.append(chunk)
                case ("cancel",):
                    task = asyncio.ensure_future(_one(stream))
                    await asyncio.sleep(0)
                    task.cancel()
                    seen.append(await task)
                case ("timeout",):
                    async with asyncio.timeout(0):
                        seen.append(await anext(stream))
                case ("context",):
                    try:
                        raise LookupError("around")
                    except LookupError:
                        seen.append(await anext(stream))
                case _:
                    seen.append(await anext(stream))
        except BaseException as error:
            seen.append(_shown(error))
            ended = _ending(error)
        seen.append(_State(stream.ag_frame is None, stream.ag_running, ended))
    return seen


async def _one(stream: Any) -> Any:
    return await anext(stream)


# --- comparing --------------------------------------------------------------------------------


def _quietly(run: Callable[[], Any]) -> Any:
    """What it gives, and the errors that nobody could be told of."""
    untold: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda told: untold.append(told.exc_type)
    try:
        return run(), gc.collect() * 0, untold
    finally:
        sys.unraisablehook = before


def _expected(trace: list[Any], seen: list[Any]) -> Any:
    """The record that there must be: its status and output; None for a body that never ran."""
    if not trace:
        return None
    status = next((each.ended for each in seen if type(each) is _State and each.over), "abandoned")
    chunks = [each for each in seen if type(each) is str]
    return status, "".join(chunks) if chunks else None


def _recorded(client: Client, data_id: str) -> Any:
    assert client.flush(10)
    found = client.get(data_id)
    return None if found is None else (found.status, found.output)


def check_sync(client: Client, body: Any, steps: Any) -> None:
    def run(decorate: Callable[[Any], Any]) -> Any:
        trace: list[Any] = []

        def driven() -> Any:
            trace.append("begun")
            return (yield from _sync(body, trace))

        stream = decorate(driven)()
        ids.append(getattr(stream, "data_id", None))
        return _drive(stream, steps), trace

    ids: list[Any] = []
    bare = _quietly(lambda: run(lambda function: function))
    ours = _quietly(lambda: run(afterword.generation))
    assert ours == bare
    (seen, trace), *_ = bare
    assert _recorded(client, ids[1]) == _expected(trace, seen)
    assert client.status().faults == 0


def check_async(client: Client, body: Any, steps: Any) -> None:
    def run(decorate: Callable[[Any], Any]) -> Any:
        trace: list[Any] = []
        untold: list[Any] = []

        async def driven() -> Any:
            trace.append("begun")
            async for word in _async(body, trace):
                yield word

        async def main() -> Any:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, told: untold.append(type(told.get("exception"))))
            stream = decorate(driven)()
            ids.append(getattr(stream, "data_id", None))
            return await _adrive(stream, steps)

        return asyncio.run(main()), trace, untold

    ids: list[Any] = []
    bare = _quietly(lambda: run(lambda function: function))
    ours = _quietly(lambda: run(afterword.generation))
    assert ours == bare
    (seen, trace, _), *_ = bare
    assert _recorded(client, ids[1]) == _expected(trace, seen)
    assert client.status().faults == 0


def _settings(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@given(body=_bodies, steps=_steps)
@_settings(150)
def test_a_generator_does_as_its_bare_twin_and_is_one_record(
    client: Client, body: Any, steps: Any
) -> None:
    check_sync(client, body, steps)


@given(body=_bodies, steps=_steps)
@_settings(150)
def test_an_async_generator_does_as_its_bare_twin_and_is_one_record(
    client: Client, body: Any, steps: Any
) -> None:
    check_async(client, body, steps)


@pytest.mark.long
@given(body=_bodies, steps=_steps)
@_settings(1000)
def test_a_generator_does_as_its_bare_twin_in_many_more_ways(
    client: Client, body: Any, steps: Any
) -> None:
    check_sync(client, body, steps)


@pytest.mark.long
@given(body=_bodies, steps=_steps)
@_settings(1000)
def test_an_async_generator_does_as_its_bare_twin_in_many_more_ways(
    client: Client, body: Any, steps: Any
) -> None:
    check_async(client, body, steps)
