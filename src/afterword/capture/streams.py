"""Streams that come back wrapped, and nothing else about them changed (layer 4).

A wrapper sets the context before each step of the stream and puts it back after it, within that
step. No task is made, no token is kept, and every call of the iteration protocols reaches the
stream.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Generator
from typing import Any

from afterword.capture.calls import (
    OPEN,
    add_chunk,
    begin,
    end_raised,
    end_stream,
    is_cancellation,
    note_fault,
    quietly,
    sibling,
)
from afterword.capture.proxies import Proxy, tailored
from afterword.capture.records import Call
from afterword.capture.steps import Step, drive, ended, step, steps_of
from afterword.capture.strictness import wait
from afterword.context import finalise, get_active, set_active

_GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)


class Streaming(Proxy):
    """What wrappers of streams share."""

    # The wrapper that this one iterates for; that one ends the call.
    _self_for = None

    def __init__(self, wrapped: Any, call: Call) -> None:
        super().__init__(wrapped)
        self._self_call = call

    @property
    def data_id(self) -> str | None:
        """The data ID of the generation this stream is; known before the first chunk."""
        return self._self_call.data_id


class Stream(Streaming):
    """An iterator or async iterator whose chunks are recorded."""

    def __del__(self) -> None:
        try:
            call = self._self_call
            if not call.begun:
                _never_begun(call)
            elif not call.done:
                generator = isinstance(self.__wrapped__, _GENERATORS)
                # Its own finaliser runs under its call, and not under that of whoever let it go.
                finalise(call.inside or call, setattr, self, "__wrapped__", None)
                if self._self_for is None:
                    _left(call, generator)
        except Exception as error:
            _not_at_exit(self, error)


class Unrecorded(Proxy):
    """A stream that has no record: one of a disabled decorator, or after a fault of ours."""

    data_id = None


class Source(Streaming):
    """What gives a new iterator each time: the first one is the call, others are its siblings."""

    _self_taken = False

    def __del__(self) -> None:
        try:
            if not self._self_taken:
                end_stream(self._self_call, "ok")
        except Exception as error:
            _not_at_exit(self, error)


def _not_at_exit(wrapper: Streaming, error: Exception) -> None:
    if not sys.is_finalizing():
        note_fault(wrapper._self_call.client, "letting a stream go", error)


def stream(iterator: Any, call: Call) -> Any:
    """The iterator, its chunks recorded as the call's output."""
    return _wrapped(Stream, iterator, call)


def source(iterable: Any, call: Call) -> Any:
    """The iterable, the chunks of each iteration recorded."""
    return _wrapped(Source, iterable, call)


def unrecorded(iterator: Any) -> Any:
    """The iterator, with a data ID that is None."""
    return tailored(Unrecorded, type(iterator))(iterator)


def _wrapped(proxy: Any, wrapped: Any, call: Call) -> Any:
    wrapper = tailored(proxy, type(wrapped))(wrapped, call)
    call.streamed = True
    if call.begun:
        OPEN[id(call)] = call
    elif call.outermost:
        call.trail.upcoming = call.data_id
    return wrapper


# --- iterating --------------------------------------------------------------------------------


def _next(self: Any) -> Any:
    call = self._self_call
    if not call.begun:
        quietly(call.client, begin, call)
    before = get_active()
    set_active(call.inside or call)
    try:
        chunk = self.__wrapped__.__next__()
    except BaseException as error:
        set_active(before)
        quietly(call.client, ended, call, self.__wrapped__, error)
        if call.waiter is not None:
            quietly(call.client, wait, call)
        raise
    inside = get_active()
    call.inside = None if inside is call else inside
    set_active(before)
    try:
        add_chunk(call, chunk)
    except Exception as error:
        note_fault(call.client, "recording a chunk", error)
    return chunk


def _step(self: Any, act: Callable[..., Any], *values: Any) -> Any:
    call = self._self_call
    if not call.begun:
        quietly(call.client, begin, call)
    before = get_active()
    set_active(call.inside or call)
    try:
        chunk = act(*values)
    except BaseException as error:
        set_active(before)
        quietly(call.client, ended, call, self.__wrapped__, error)
        if call.waiter is not None:
            quietly(call.client, wait, call)
        raise
    inside = get_active()
    call.inside = None if inside is call else inside
    set_active(before)
    quietly(call.client, add_chunk, call, chunk)
    return chunk


def _send(self: Any, value: Any) -> Any:
    if value is not None and _is_fresh(self):
        return self.__wrapped__.send(value)
    return _step(self, self.__wrapped__.send, value)


def _is_fresh(self: Any) -> bool:
    """Whether it is a generator that has not begun, and so refuses to be sent a value."""
    return not self._self_call.begun and isinstance(self.__wrapped__, _GENERATORS)


def _throw(self: Any, *error: Any) -> Any:
    call = self._self_call
    if not call.begun:
        quietly(call.client, _never_begun, call)
    return _step(self, self.__wrapped__.throw, *error)


def _iter(self: Any) -> Any:
    return _iterator(self, iter)


def _aiter(self: Any) -> Any:
    return _iterator(self, aiter)


def _iterator(self: Any, make: Callable[[Any], Any]) -> Any:
    """The wrapper itself where the stream is its own iterator, else one that iterates for it."""
    iterator = _within(self._self_call, make, self.__wrapped__)
    if iterator is self.__wrapped__:
        return self
    wrapper = quietly(self._self_call.client, _stand_in, iterator, self)
    return iterator if wrapper is None else wrapper


def _stand_in(iterator: Any, wrapper: Any) -> Any:
    made = tailored(Stream, type(iterator))(iterator, wrapper._self_call)
    made._self_for = wrapper
    return made


def _anext(self: Any) -> Any:
    made = Step()  # as in `step`, which would be one more call for each chunk
    made.awaitable = self.__wrapped__.__anext__()
    made.stream = self
    made.call = self._self_call
    return made


def _asend(self: Any, value: Any) -> Any:
    if value is not None and _is_fresh(self):
        return self.__wrapped__.asend(value)
    return step(self.__wrapped__.asend(value), self, self._self_call)


def _athrow(self: Any, *error: Any) -> Any:
    call = self._self_call
    if not call.begun:
        quietly(call.client, _never_begun, call)
    return step(self.__wrapped__.athrow(*error), self, call)


# --- leaving ----------------------------------------------------------------------------------


class Passing(Step):
    """A step that gives no chunk."""

    __slots__ = ("then",)

    then: Callable[[Any], Any]

    def __await__(self) -> Generator[Any, Any, Any]:
        return drive(steps_of(self.awaitable), self, self.start(), Passing.done, self)

    def start(self) -> Call | None:
        return self.call if self.call.begun else None

    def done(self, value: Any) -> Any:
        return self.then(value)

    def failed(self, error: BaseException) -> None:
        if self.call.begun:
            ended(self.call, self.stream, error)


def _passing(awaitable: Any, stream: Any, call: Call, then: Callable[[Any], Any]) -> Passing:
    made = Passing()
    made.awaitable, made.stream, made.call, made.then = awaitable, stream, call, then
    return made


def _close(self: Any) -> Any:
    """`close` of a stream: sync, or async where the stream has it so."""
    return _leave(self, self.__wrapped__.close)


def _aclose(self: Any) -> Any:
    return _leave(self, self.__wrapped__.aclose)


def _exit(self: Any, *error: Any) -> Any:
    return _leave(self, self.__wrapped__.__exit__, *error)


def _aexit(self: Any, *error: Any) -> Any:
    return _leave(self, self.__wrapped__.__aexit__, *error)


def _leave(self: Any, act: Callable[..., Any], *values: Any) -> Any:
    call = self._self_call
    generator = isinstance(self.__wrapped__, _GENERATORS)
    reason = values[1] if len(values) > 1 else None

    def left(value: Any) -> Any:
        if not call.begun:
            _never_begun(call)
        elif reason is not None and is_cancellation(reason):
            end_raised(call, reason)
        else:
            _left(call, generator)
        return value

    try:
        value = _within(call, act, *values)
    except BaseException as error:
        if call.begun:
            quietly(call.client, ended, call, self.__wrapped__, error)
        raise
    if hasattr(value, "__await__"):
        return quietly(call.client, _passing, value, self, call, left) or value
    quietly(call.client, left, value)
    if call.waiter is not None:
        quietly(call.client, wait, call)
    return value


def _left(call: Call, generator: bool) -> None:
    """The consumer of a stream left before its end.

    An object that gave no chunk to us may have been read to its end by methods of its own.
    """
    end_stream(call, "abandoned" if generator or call.chunks is not None else "ok")


def _never_begun(call: Call) -> None:
    call.begun = call.done = True
    if call.outermost:
        call.trail.give_back(call.data_id)


# --- entering ---------------------------------------------------------------------------------


def _enter(self: Any) -> Any:
    value = _within(self._self_call, self.__wrapped__.__enter__)
    return self if value is self.__wrapped__ else value


def _aenter(self: Any) -> Any:
    call = self._self_call
    entering = _within(call, self.__wrapped__.__aenter__)
    then = functools.partial(_entered, self)
    return quietly(call.client, _passing, entering, self, call, then) or entering


def _entered(self: Any, value: Any) -> Any:
    return self if value is self.__wrapped__ else value


def _within(call: Call, act: Callable[..., Any], *values: Any) -> Any:
    before = get_active()
    set_active(call.inside or call)
    try:
        return act(*values)
    finally:
        set_active(before)


# --- giving iterators -------------------------------------------------------------------------


def _iter_anew(self: Any) -> Any:
    return _iterator_anew(self, iter)


def _aiter_anew(self: Any) -> Any:
    return _iterator_anew(self, aiter)


def _iterator_anew(self: Any, make: Callable[[Any], Any]) -> Any:
    call = self._self_call
    if self._self_taken:
        call = quietly(call.client, sibling, call)
        if call is None:
            return make(self.__wrapped__)
    self._self_taken = True
    try:
        iterator = _within(call, make, self.__wrapped__)
    except Exception as error:
        quietly(call.client, end_raised, call, error)
        raise
    followed = quietly(call.client, stream, iterator, call)
    return iterator if followed is None else followed


def _passed(act: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        return act(self.__wrapped__)

    return method


_MANAGING = {"__enter__": _enter, "__exit__": _exit, "__aenter__": _aenter, "__aexit__": _aexit}

Stream._self_methods = {
    "__next__": _next, "send": _send, "throw": _throw, "__iter__": _iter, "close": _close,
    "__anext__": _anext, "asend": _asend, "athrow": _athrow, "__aiter__": _aiter,
    "aclose": _aclose, **_MANAGING,
}  # fmt: skip
Source._self_methods = {"__iter__": _iter_anew, "__aiter__": _aiter_anew, **_MANAGING}
Unrecorded._self_methods = {
    name: _passed(act)
    for name, act in (
        ("__iter__", iter),
        ("__next__", next),
        ("__aiter__", aiter),
        ("__anext__", anext),
    )
}
