"""Each function of ours on the path of a call fails in turn: the user's function does as before, and the fault is counted."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import afterword
from afterword import Client
from afterword.capture.calls import _homeless
from afterword.capture.proxies import tailored
from afterword.capture.results import _follower
from afterword.delivery.faults import Faults
from afterword.delivery.recorder import Recorder

_MODULES = (
    "capture.arguments", "capture.calls", "capture.kinds", "capture.proxies", "capture.records",
    "capture.results", "capture.steps", "capture.streams", "context", "default", "ids", "snapshot",
)  # fmt: skip
_CLASSES = ("Coroutine", "Source", "Step", "Stream", "Trail", "_Owner")

#: What runs the user's own code for them. Replaced by something that raises, there is no user's
#: function any more that could do as before; what these call is what the test makes fail.
_RUNS_THE_USERS_CODE = {
    "capture.kinds.call_plain", "capture.kinds.call_async", "capture.kinds.call_stream",
    "capture.steps.drive", "capture.steps.resume", "capture.steps.steps_of",
    "capture.steps.sending", "capture.steps.throwing",
    "capture.steps.Step.__await__", "capture.results.Coroutine.__await__", "capture.results._await",
    "capture.streams._next", "capture.streams._step", "capture.streams._send",
    "capture.streams._iter", "capture.streams._aiter", "capture.streams._iterator",
    "capture.streams._iter_anew", "capture.streams._aiter_anew", "capture.streams._iterator_anew",
    "capture.streams._anext", "capture.streams._asend", "capture.streams._within",
    "capture.streams._close", "capture.streams._aclose", "capture.streams._leave",
    "capture.streams._enter", "capture.streams._exit", "context.finalise",
}  # fmt: skip
#: Nothing but a `try` around what is made to fail here: they are where faults end.
_GUARDS = {
    "capture.calls.quietly", "capture.calls.note_fault", "capture.kinds._begun",
    "capture.steps.started", "capture.steps.finished", "capture.streams.Stream.__del__",
    "capture.streams.Source.__del__", "capture.results.Coroutine.__del__",
}  # fmt: skip
#: What fails there is done in another way, and nothing is lost that a count should tell of.
_HAS_ANOTHER_WAY = {"snapshot._allowance"}
#: Without a default client there is nobody whose status would tell.
_COUNTED_ELSEWHERE = {"default.default_client"}


class InjectedError(Exception):
    pass


def _functions() -> dict[str, Any]:
    """Every function that may run in a call, by where it is."""
    found: dict[str, Any] = {}
    for name in _MODULES:
        module = importlib.import_module(f"afterword.{name}")
        for key, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                found[f"{name}.{key}"] = (None, key, value)
            elif inspect.isclass(value) and key in _CLASSES and value.__module__ == module.__name__:
                for method, function in vars(value).items():
                    if inspect.isfunction(function):
                        found[f"{name}.{key}.{method}"] = (value, method, function)
    for key, value in (
        ("capture.proxies.tailored", tailored),
        ("capture.results._follower", _follower),
    ):
        found[key] = (
            None,
            key,
            value,
        )  # they remember what they gave, and so are no plain functions
    for method in ("put", "_rouse", "_start_thread"):
        found[f"Recorder.{method}"] = (Recorder, method, getattr(Recorder, method))
    return {
        where: what for where, what in found.items() if where not in _RUNS_THE_USERS_CODE | _GUARDS
    }


FUNCTIONS = _functions()


class Breaking:
    """Makes one function raise, wherever a module of ours has it by whichever name."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str, function: Any) -> None:
        self.hits = 0

        def broken(*args: Any, **kwargs: Any) -> Any:
            self.hits += 1
            raise InjectedError(name)

        if owner is not None:
            patch.setattr(owner, name, broken)
            return
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith("afterword"):
                for key, value in list(vars(module).items()):
                    if value is function:
                        patch.setattr(module, key, broken)


# --- what the user does -----------------------------------------------------------------------


class Refused(Exception):
    pass


class Answer:
    def __iter__(self) -> Iterator[str]:
        yield "a"

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: Any) -> None: ...


@afterword.generation
def plain(question: str, *, fail: bool = False) -> Any:
    if fail:
        raise Refused
    return {"answer": [question, object]}


@afterword.generation
async def later(question: str, fail: bool = False) -> str:
    await asyncio.sleep(0)
    plain(question)
    if fail:
        raise Refused
    return question


@afterword.generation
def words(fail: bool = False) -> Iterator[Any]:
    yield "a"
    yield {"b": 1}
    if fail:
        raise Refused
    return "end"  # noqa: B901


@afterword.generation
async def awords(fail: bool = False) -> AsyncIterator[Any]:
    yield "a"
    await later("in a stream")
    yield {"b": 1}
    if fail:
        raise Refused


@afterword.generation
def answer() -> Answer:
    return Answer()


@afterword.generation
def pair() -> tuple[Iterator[str], int]:
    return iter(Answer()), 1


@afterword.generation
async def opened() -> AsyncIterator[Any]:
    return awords()


@afterword.generation
def future() -> asyncio.Future[str]:
    return asyncio.ensure_future(asyncio.sleep(0, "settled"))


def sync_uses() -> list[Any]:
    seen: list[Any] = [plain("why"), plain("why").keys(), list(words()), list(answer())]
    with answer() as entered:
        seen.append([*entered, *entered])
    (stream, number) = pair()
    seen += [list(stream), number]
    for call in (lambda: plain("why", fail=True), lambda: list(words(True))):
        with pytest.raises(Refused):
            call()
    started = words()
    seen += [next(started), started.close(), words().close()]
    left = words()
    seen.append(next(left))
    del left
    gc.collect(0)
    return seen


async def async_uses() -> list[Any]:
    seen: list[Any] = [await later("why"), [each async for each in awords()]]
    seen += [[each async for each in await opened()], await future()]
    with pytest.raises(Refused):
        await later("why", fail=True)
    with pytest.raises(Refused):
        _ = [each async for each in awords(True)]
    started = awords()
    seen += [await anext(started), await started.aclose()]
    seen += [await asyncio.create_task(later("task")), await asyncio.to_thread(plain, "thread")]
    task = asyncio.create_task(later("cancelled"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return seen


def uses() -> list[Any]:
    return [sync_uses(), asyncio.run(async_uses())]


# --- what becomes of it -----------------------------------------------------------------------


@pytest.fixture
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="faults")
    yield made
    made.close()


def met(expected: list[Any]) -> list[str]:
    """Which of the functions run when the user does all this."""
    codes = set()
    sys.setprofile(lambda frame, event, _: codes.add(frame.f_code))
    try:
        assert uses() == expected
    finally:
        sys.setprofile(None)
    return [
        where
        for where, (_, _, function) in FUNCTIONS.items()
        if getattr(function, "__code__", None) in codes or not inspect.isfunction(function)
    ]


def test_whatever_of_ours_fails_the_user_sees_nothing_and_it_is_counted_and_logged_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = uses()
    functions = met(expected)
    noticed = []
    for where in functions:
        assert client.flush(10)
        client.faults._logged_at_s.clear()
        caplog.clear()
        before = client.status().faults + _homeless.count
        with monkeypatch.context() as patch:
            broken = Breaking(patch, *FUNCTIONS[where])
            try:
                same = uses() == uses() == expected
            except BaseException as error:
                same = False
                error.__traceback__ = None
        counted = client.status().faults + _homeless.count - before
        told = [record.getMessage() for record in caplog.records if record.name == "afterword"]
        if where in _HAS_ANOTHER_WAY or not broken.hits:
            counted, told = counted or 1, told or [""]
        if not same or not counted or len(told) != len(set(told)) or not told:
            if where not in _COUNTED_ELSEWHERE or not same or not counted:
                noticed.append((where, same, counted, told))
    assert noticed == []
    assert len(functions) > 50
    # With everything whole again, so are the records.
    plain("whole")
    assert client.flush(10)
    assert client.generations(limit=1).items[0].inputs == {"question": "whole"}


def test_not_even_a_count_that_fails_reaches_the_user(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise InjectedError("note")

    expected = uses()
    functions = met(expected)
    monkeypatch.setattr(Faults, "note", fails)
    noticed = []
    for where in functions:
        with monkeypatch.context() as patch:
            Breaking(patch, *FUNCTIONS[where])
            try:
                if uses() != expected:
                    noticed.append(where)
            except BaseException as error:
                noticed.append(f"{where}: {error!r}")
    assert noticed == []
