"""What a call gave: a value, which the caller gets as it is, or a stream or awaitable, followed (layer 4)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import io
import operator
import sys
import types
from collections.abc import Callable, Generator
from typing import Any, SupportsIndex

from afterword.capture.calls import (
    OPEN,
    begin,
    end_ok,
    end_raised,
    end_stream,
    note_fault,
    place,
    quietly,
)
from afterword.capture.proxies import Proxy, tailored
from afterword.capture.records import Call, Spec
from afterword.capture.signatures import Logged
from afterword.capture.steps import drive, resume, sending, started, steps_of, throwing
from afterword.capture.streams import source, stream
from afterword.capture.strictness import Settling
from afterword.client import Client
from afterword.context import finalise
from afterword.snapshot import snapshot

#: Types of values that are looked at no further.
PLAIN = frozenset((str, dict, list, int, float, bool, bytes, set, types.NoneType))

_CONTAINERS = ("__len__", "__getitem__", "__contains__", "__fspath__")
_RECORDS = ("__dataclass_fields__", "__struct_fields__", "__pydantic_fields__", "__attrs_attrs__")
_FUTURES = (asyncio.Future, concurrent.futures.Future)

Follow = Callable[[Any, Call], Any]


def received(call: Call, result: Any, known: tuple[Any, ...] = ()) -> Any:
    """The result as the caller gets it: the same object, unless it is a stream or an awaitable.

    `known` are objects that the caller had before, as `self` is.
    """
    if type(result) not in PLAIN:
        try:
            follow = _follower(type(result))
            if follow is not None and not (follow is source and _is_one_of(result, known)):
                followed = follow(result, call)
                if followed is not None:
                    return followed
        except Exception as error:
            note_fault(call.client, "looking at a result", error)
    end_ok(call, result)
    return result


def _is_one_of(result: Any, known: tuple[Any, ...]) -> bool:
    return any(result is one for one in known)


def _follower_of(kind: Any) -> Follow | None:
    """How things of this kind are followed; None for values."""
    if kind is tuple:
        return _first_stream
    if kind is types.GeneratorType:
        return _generator
    if issubclass(kind, _FUTURES):
        return _future
    if hasattr(kind, "__await__"):
        return awaited
    if issubclass(kind, (type, io.IOBase)) or any(hasattr(kind, name) for name in _RECORDS):
        return None
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__"):
        return stream
    if any(hasattr(kind, name) for name in _CONTAINERS):
        return None
    return source if hasattr(kind, "__iter__") or hasattr(kind, "__aiter__") else None


_follower: Callable[[Any], Follow | None] = functools.lru_cache(maxsize=1024)(_follower_of)


def _generator(generator: Any, call: Call) -> Any:
    return awaited(generator, call) if inspect.isawaitable(generator) else stream(generator, call)


def _first_stream(result: tuple[Any, ...], call: Call) -> tuple[Any, ...] | None:
    """The tuple with the first stream in it wrapped; None when it holds none."""
    for place_, item in enumerate(result):
        follow = None if type(item) in PLAIN else _follower(type(item))
        if follow is stream or follow is _generator:
            call.place = place_
            call.output = snapshot((*result[:place_], None, *result[place_ + 1 :]))
            return (*result[:place_], stream(item, call), *result[place_ + 1 :])
    return None


def _future(future: Any, call: Call) -> Any:
    """The future itself: its end is heard of from it, and nothing of it is retrieved."""
    future.add_done_callback(functools.partial(quietly, call.client, _settled, call))
    call.streamed = True
    OPEN[id(call)] = call
    return future


def _settled(call: Call, future: Any) -> None:
    if future.cancelled():
        end_stream(call, "cancelled")
    elif future._exception is not None:
        end_raised(call, future._exception)
    else:
        end_ok(call, future.result())


class Coroutine:
    """A coroutine, or another awaitable, that is followed: its result is the output of its call."""

    # Filled by `follow`: a constructor of its own would cost as much as all the rest.
    __slots__ = (
        "__weakref__", "arguments", "awaitable", "call", "is_over", "known", "logged", "settling",
        "skip", "spec",
    )  # fmt: skip

    awaitable: Any
    spec: Spec
    call: Call | None
    arguments: Any
    skip: int
    known: tuple[Any, ...]
    logged: bool
    is_over: bool
    settling: Settling | None

    def __await__(self) -> Generator[Any, Any, Any]:
        return drive(steps_of(self.awaitable), self, started(self), Coroutine.done, self)

    @property
    def send(self) -> Callable[[Any], Any]:
        return sending(self)

    @property
    def throw(self) -> Callable[..., Any]:
        return throwing(self)

    def close(self) -> Any:
        if self.call is None:
            return self.awaitable.close()
        value = resume(self, self.awaitable.close)
        end_stream(self.call, "abandoned")
        return value

    @property
    def client(self) -> Client | None:
        return self.spec.client

    def start(self) -> Call | None:
        call = self.call
        if call is None:
            self.call = call = place(self.spec, self.arguments, self.skip)
            if call is not None:
                begin(call)
        return call

    def done(self, value: Any) -> Any:
        call = self.call
        self.is_over = True
        if call is not None and not call.done:
            if type(value) in PLAIN:
                end_ok(call, value)
            else:
                value = received(call, value, self.known)
        if self.logged:
            return Logged(value, None if call is None else call.data_id)
        return value

    def failed(self, error: BaseException) -> None:
        if self.call is not None:
            end_raised(self.call, error)

    def __del__(self) -> None:
        try:
            call = self.call
            if call is not None and not call.done and not self.is_over:
                finalise(call.inside or call, setattr, self, "awaitable", None)
                end_stream(call, "abandoned")
        except Exception as error:
            if not sys.is_finalizing():
                note_fault(self.client, "letting a coroutine go", error)

    # Every other question is the coroutine's own to answer.

    def _class(self) -> Any:
        return type(self.awaitable)

    __class__: Any = property(_class)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.awaitable, name)

    def __dir__(self) -> list[str]:
        return dir(self.awaitable)

    def __repr__(self) -> str:
        return repr(self.awaitable)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return self.awaitable.__reduce_ex__(protocol)


# As tracebacks, warnings and logs name it.
Coroutine.__name__ = Coroutine.__qualname__ = "coroutine"


class Awaited(Proxy):
    """An awaitable of any class, in front of the one that follows it."""


def _await(self: Any) -> Generator[Any, Any, Any]:
    coroutine: Coroutine = self._self_coroutine
    return coroutine.__await__()


def _own_iterator(self: Any) -> Any:
    return self


def _next(self: Any) -> Any:
    return self._self_coroutine.send(None)


def _aiter(self: Any) -> Any:
    return aiter(self.__wrapped__)


def _asked(name: str) -> property:
    """A method of the one that follows."""
    return property(operator.attrgetter(f"_self_coroutine.{name}"))


Awaited._self_methods = {
    "__await__": _await, "__iter__": _own_iterator, "__next__": _next, "__aiter__": _aiter,
    "send": _asked("send"), "throw": _asked("throw"), "close": _asked("close"),
}  # fmt: skip


class AwaitedGenerator(Awaited):
    """A generator-based coroutine. Python awaits the real ones without a method."""

    __await__ = _await


def awaited(awaitable: Any, call: Call) -> Any:
    """The awaitable, its result recorded as the call's output."""
    call.streamed = True
    OPEN[id(call)] = call
    return follow(awaitable, call.spec, call)


def follow(
    awaitable: Any,
    spec: Spec,
    call: Call | None,
    arguments: Any = None,
    skip: int = 0,
    known: tuple[Any, ...] = (),
    logged: bool = False,
) -> Any:
    """The awaitable, whose call begins with its first step when there is none yet."""
    coroutine = Coroutine()
    coroutine.awaitable = awaitable
    coroutine.spec = spec
    coroutine.call = call
    coroutine.arguments = arguments
    coroutine.skip = skip
    coroutine.known = known
    coroutine.logged = logged
    coroutine.is_over = False
    coroutine.settling = None
    if type(awaitable) is types.CoroutineType:
        return coroutine
    kind = type(awaitable)
    facade = tailored(AwaitedGenerator if kind is types.GeneratorType else Awaited, kind)(awaitable)
    facade._self_coroutine = coroutine
    return facade
