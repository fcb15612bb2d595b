"""A decorated callable and its bare twin go through the same actions, and agree: each row of the promise for each kind."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import copy
import functools
import gc
import inspect
import os
import pickle
import subprocess
import sys
import traceback
import types
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from kinds import BARE, KINDS, LOGGED, Kind, neutral, run, used

import afterword
from afterword import Client


@pytest.fixture(autouse=True)
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="manners")
    yield made
    made.close()


class Refused(Exception):
    pass


def outcome(act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What an action gives, or how it fails."""
    try:
        return "gave", act(*args, **kwargs)
    except Exception as error:
        return "raised", type(error), neutral(str(error))


def _use(kind: Kind, module: ModuleType, *args: Any, **kwargs: Any) -> Any:
    async def use() -> Any:
        return await used(kind.call(module, *args, **kwargs))

    return run(use())


# --- calling ----------------------------------------------------------------------------------


def results(kind: Kind, module: ModuleType) -> Any:
    return _use(kind, module, "why"), _use(kind, module, question="why", tone="curt")


def wrong_arguments(kind: Kind, module: ModuleType) -> Any:
    async def call() -> Any:
        return outcome(kind.call, module, "why", "kind", 1, 2), outcome(kind.call, module, no=1)

    return run(call())


def nobody_waits(kind: Kind, module: ModuleType) -> Any:
    """What is seen of a result that is never used."""

    async def leave() -> Any:
        result = kind.call(module, "why")
        shown = neutral(result), neutral(type(result).__name__), dir_of(result)
        if inspect.iscoroutine(result) or (inspect.isgenerator(result) and "cr" in shown[0]):
            result.close()
        elif inspect.isawaitable(result):
            await result
        return shown

    return run(leave())


def dir_of(thing: Any) -> set[str]:
    """The names it answers to, without those that only we add."""
    return set(dir(thing)) - {"data_id", "logged"}


def identity_of_errors(kind: Kind, module: ModuleType) -> Any:
    """Within one error, raise another that has a cause."""
    around, error, cause = KeyError("around"), Refused("no"), LookupError("why")
    error.__cause__ = cause

    async def fail() -> Any:
        try:
            try:
                raise around
            except KeyError:
                await used(kind.call(module, error))
        except Refused as caught:
            chain = caught.__context__ is around, caught.__cause__ is cause
            return caught is error, *chain, caught.__suppress_context__, caught.__notes__
        return None

    error.add_note("noted")
    return run(fail())


def errors_of_other_families(kind: Kind, module: ModuleType) -> Any:
    seen = []
    for family in (StopIteration, StopAsyncIteration, GeneratorExit, asyncio.CancelledError):
        error = family("mine")

        async def fail(error: BaseException = error) -> Any:
            try:
                return await used(kind.call(module, error))
            except BaseException as caught:
                again = caught.__cause__ is error
                return type(caught), str(caught), caught is error, again

        try:
            seen.append(run(fail()))
        except BaseException as caught:  # a generator that nobody closed
            seen.append((type(caught), str(caught)))
    return seen


# --- asking -----------------------------------------------------------------------------------

_PREDICATES = [
    getattr(inspect, name)
    for name in dir(inspect)
    if name.startswith("is") and name not in ("iskeyword", "istraceback")
]
_QUESTIONS = (
    inspect.signature, inspect.getdoc, inspect.getsource, inspect.getsourcelines, inspect.getcomments, inspect.get_annotations, typing.get_type_hints, typing.get_overloads,
    inspect.getclosurevars, asyncio.iscoroutinefunction, neutral, bool, callable,
)  # fmt: skip
_TYPES = (
    types.FunctionType, types.MethodType, types.LambdaType, types.BuiltinFunctionType, functools.partial,
    collections.abc.Callable, collections.abc.Iterable, collections.abc.Container, collections.abc.Sized,
    collections.abc.Hashable, contextlib.AbstractContextManager, typing.SupportsInt, typing.SupportsIndex,
)  # fmt: skip


def predicates(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    return [(ask.__name__, outcome(ask, found)) for ask in _PREDICATES]


def questions(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    asked = [(ask.__name__, neutral(outcome(ask, found))) for ask in _QUESTIONS]
    if isinstance(found, (types.FunctionType, types.MethodType)):  # of objects 3.13 asks otherwise
        asked.append(("getfullargspec", neutral(inspect.getfullargspec(found))))
    return asked


def kinds_of_types(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    return neutral(found.__class__), [outcome(isinstance, found, each) for each in _TYPES]


def attributes(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    shown = {}
    for name in sorted(dir_of(found) - {"__wrapped__"}):
        value = getattr(found, name)
        opaque = callable(value) or isinstance(value, (dict, types.CodeType))
        shown[name] = callable(value) if opaque else neutral(value)
    return shown


def annotations(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    if isinstance(found, types.FunctionType):
        getattr(type(found), "__annotations__", None)  # makes Python keep an empty dict in a class
    return neutral(getattr(found, "__annotations__", None)), outcome(
        lambda: list(inspect.signature(found, eval_str=True).parameters)
    )


def unwrapping(kind: Kind, module: ModuleType) -> Any:
    inner = inspect.unwrap(kind.find(module))
    # Since Python 3.13 a classmethod binds as any method does, and unwrapping goes past that.
    inner = getattr(inner, "__func__", inner)
    return neutral(inner), neutral(type(inner))


def hashing(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    return found == kind.find(module), hash(found) == hash(found), {found: 1}[found]


# --- copying ----------------------------------------------------------------------------------


def _works(kind: Kind, thing: Any) -> Any:
    if kind.name in ("unbound", "property"):
        return callable(thing)

    async def use() -> Any:
        return await used(thing("why"))

    return run(use())


def pickling(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    seen = []
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            twin = pickle.loads(pickle.dumps(found, protocol))
        except Exception as error:
            seen.append(
                "refused" if isinstance(error, (pickle.PicklingError, TypeError)) else error
            )
        else:
            seen.append((twin == found, neutral(twin), _works(kind, twin)))
    return seen


def copying(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    seen = []
    for make in (copy.copy, copy.deepcopy):
        twin = make(found)
        seen.append((twin == found, neutral(twin), _works(kind, twin)))
    return seen


# --- changing ---------------------------------------------------------------------------------


def writing(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    seen = [outcome(setattr, found, "mark", 1), outcome(getattr, found, "mark")]
    seen += [outcome(lambda: vars(found)["mark"]), outcome(getattr, kind.find(module), "mark")]
    seen += [outcome(delattr, found, "mark"), outcome(delattr, found, "mark")]
    seen.append(outcome(getattr, found, "mark", None))
    return [each[:2] if each[0] == "raised" else each for each in seen]


def wrapping(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)

    @functools.wraps(found)
    def around(*args: Any, **kwargs: Any) -> Any:
        return found(*args, **kwargs)

    names = [getattr(around, name, None) for name in functools.WRAPPER_ASSIGNMENTS]
    same = around.__wrapped__ is found  # type: ignore[attr-defined]
    return [*map(neutral, names), same, neutral(outcome(inspect.signature, around))]


def patching(kind: Kind, module: ModuleType) -> Any:
    owner, name = kind.owner(module)
    before = inspect.getattr_static(owner, name)
    with mock.patch.object(owner, name) as put:
        seen = [inspect.getattr_static(owner, name) is put, type(put).__name__]
    return [*seen, inspect.getattr_static(owner, name) is before, results(kind, module)]


def specified_mocks(kind: Kind, module: ModuleType) -> Any:
    found = kind.find(module)
    if isinstance(found, functools.partial):
        return None  # of ours a mock knows the signature, which it does not of bare partials
    twin = mock.create_autospec(found)
    refused = outcome(twin, "why", "kind", 1, 2, 3)
    if inspect.iscoroutine(refused[1]):
        refused[1].close()
    return type(twin).__name__, refused[0], inspect.iscoroutinefunction(twin)


def composing(kind: Kind, module: ModuleType) -> Any:
    """Others' decorators around it."""
    found = kind.find(module)
    if kind.name in ("unbound", "property"):
        return None
    shaped = functools.partial(found, tone="curt")
    return neutral(shaped), inspect.iscoroutinefunction(shaped), _works(kind, shaped)


ACTIONS: list[Callable[[Kind, ModuleType], Any]] = [
    results, wrong_arguments, nobody_waits, identity_of_errors, errors_of_other_families, predicates,
    questions, kinds_of_types, attributes, annotations, unwrapping, hashing, pickling, copying, writing,
    wrapping, patching, specified_mocks, composing,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_the_decorated_twin_does_as_the_bare_one(
    action: Callable[[Kind, ModuleType], Any], kind: Kind
) -> None:
    assert action(kind, LOGGED) == action(kind, BARE)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_traceback_has_no_more_frames_of_ours_than_promised(kind: Kind) -> None:
    def files(module: ModuleType) -> list[str]:
        async def fail() -> list[str]:
            try:
                await used(kind.call(module, Refused()))
            except Refused as error:
                return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            return []

        found: list[str] = run(fail())
        return found

    bare, logged = files(BARE), files(LOGGED)
    ours = [name for name in logged if "afterword/" in name]
    assert [name for name in logged if name not in ours] == bare
    assert len(ours) <= kind.frames


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_call_is_one_record_with_its_status_and_its_inputs(client: Client, kind: Kind) -> None:
    _use(kind, LOGGED, "why")
    with pytest.raises(Refused):
        _use(kind, LOGGED, Refused("no"))
    failed, done = client.generations().items
    assert (done.status, failed.status) == ("ok", "error")
    assert done.output == _output(kind)
    assert failed.error is not None
    assert failed.error.message == "no"
    assert client.status().faults == 0
    if kind.name != "property":
        assert done.inputs["question"] == "why"


def _output(kind: Kind) -> Any:
    found = _use(kind, BARE, "why")
    while isinstance(found, list) and found and isinstance(found[-1], list):
        found = found[-1]
    if kind.name == "returns_tuple":
        return ["head", "firstwhykind", 3]
    parts = [part for part in found if isinstance(part, str) and not part.startswith("<")]
    return "".join(parts)


_PROGRAM = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import afterword

@afterword.generation
def answer(question):
    return question.upper()

class Bot:
    @afterword.generation
    def method(self, question):
        return question.title()

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        print(pool.submit(answer, "why").result(), *pool.map(Bot().method, ["how"]))
"""


def test_a_decorated_function_goes_to_another_process(tmp_path: Path) -> None:
    program = tmp_path / "pooled.py"
    program.write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "AFTERWORD_URL": "memory:"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("WHY How", "")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_coroutine_that_is_never_awaited_is_warned_of_as_before(
    client: Client, kind: Kind
) -> None:
    def warned(module: ModuleType) -> list[str]:
        async def forget() -> None:
            kind.call(module, "why")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(forget())
            gc.collect()
        return [neutral(str(each.message)) for each in caught]

    assert warned(LOGGED) == warned(BARE)
