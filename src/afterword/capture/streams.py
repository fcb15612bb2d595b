"""Streams that come back wrapped, and nothing else about them changed (layer 4).

A wrapper sets the context before each step of the stream and puts it back after it, within that
step. No task is made, no token is kept, and every call of the generator protocol reaches the
generator.
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections.abc import Generator, Iterator
from typing import Any, SupportsIndex, cast

import wrapt

from afterword.capture.calls import add_chunk, begin, end_raised, end_stream
from afterword.capture.records import Call
from afterword.context import get_active, set_active


class _Stream(wrapt.BaseObjectProxy[Any]):
    """What both kinds share: the call, and whether its first step has been."""

    def __init__(self, wrapped: Any, call: Call) -> None:
        super().__init__(wrapped)
        self._self_call = call
        call.streamed = True
        call.loop = None
        if call.outermost:
            call.trail.upcoming = call.data_id

    @property
    def data_id(self) -> str | None:
        """The data ID of the generation this stream is; known before the first chunk."""
        return self._self_call.data_id

    def __reduce__(self) -> Any:
        return self.__wrapped__.__reduce__()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return self.__wrapped__.__copy__()

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _never_started(call: Call) -> None:
    if call.outermost:
        call.trail.give_back(call.data_id)


class GenerationStream(_Stream):
    """A generator, or any iterator, whose chunks are recorded."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        call = self._self_call
        if not call.begun:
            begin(call)
        before = get_active()
        set_active(call)
        try:
            chunk = next(self.__wrapped__)
        except BaseException as error:
            set_active(before)
            _ended(call, error, StopIteration)
            raise
        set_active(before)
        add_chunk(call, chunk)
        return chunk

    def send(self, value: Any) -> Any:
        return self._self_step(self.__wrapped__.send, value)

    def throw(self, *error: Any) -> Any:
        return self._self_step(self.__wrapped__.throw, *error)

    def close(self) -> Any:
        call = self._self_call
        before = get_active()
        set_active(call)
        try:
            value = self.__wrapped__.close()
        except BaseException as error:
            set_active(before)
            if call.begun:
                end_raised(call, error)
            raise
        set_active(before)
        if call.begun:
            end_stream(call, "abandoned")
        return value

    def _self_step(self, step: Any, *values: Any) -> Any:
        call = self._self_call
        if not call.begun:
            begin(call)
        before = get_active()
        set_active(call)
        try:
            chunk = step(*values)
        except BaseException as error:
            set_active(before)
            _ended(call, error, StopIteration)
            raise
        set_active(before)
        add_chunk(call, chunk)
        return chunk

    def __del__(self) -> None:
        call = self._self_call
        if not call.begun:
            _never_started(call)
        elif not call.done and hasattr(self.__wrapped__, "close"):
            self.close()
        elif not call.done:
            end_stream(call, "abandoned")


class AsyncGenerationStream(_Stream):
    """An async generator, or any async iterator, whose chunks are recorded."""

    def __aiter__(self) -> AsyncGenerationStream:
        return self

    def __anext__(self) -> Any:
        return _step(self._self_call, self.__wrapped__.__anext__())

    def asend(self, value: Any) -> Any:
        return _step(self._self_call, self.__wrapped__.asend(value))

    def athrow(self, *error: Any) -> Any:
        return _step(self._self_call, self.__wrapped__.athrow(*error))

    def aclose(self) -> Any:
        return _close(self._self_call, self.__wrapped__.aclose())

    def __del__(self) -> None:
        call = self._self_call
        if not call.begun:
            _never_started(call)
            return
        if call.done:
            return
        end_stream(call, "abandoned")
        loop = call.loop
        if loop is not None and loop.is_running() and hasattr(self.__wrapped__, "aclose"):
            # Whatever collected this stream may belong to another request. The generator's own
            # finaliser must run under its own call, and not under that request's.
            context = contextvars.copy_context()
            context.run(set_active, call)
            loop.call_soon_threadsafe(_close_later, loop, self.__wrapped__, context=context)


def _close_later(loop: asyncio.AbstractEventLoop, generator: Any) -> None:
    task = loop.create_task(generator.aclose())
    _CLOSING.add(task)
    task.add_done_callback(_CLOSING.discard)


_CLOSING: set[asyncio.Task[Any]] = set()


@types.coroutine
def _step(call: Call, awaitable: Any) -> Generator[Any, Any, Any]:
    """Drive one step of an async stream in the awaiting task, a resumption at a time."""
    if not call.begun:
        begin(call)
        call.loop = asyncio._get_running_loop()
    try:
        chunk = yield from _steps(awaitable, call)
    except BaseException as error:
        _ended(call, error, StopAsyncIteration)
        raise
    add_chunk(call, chunk)
    return chunk


@types.coroutine
def _close(call: Call, awaitable: Any) -> Generator[Any, Any, Any]:
    try:
        value = yield from _steps(awaitable, call)
    except BaseException as error:
        if call.begun:
            end_raised(call, error)
        raise
    if call.begun:
        end_stream(call, "abandoned")
    return value


def _steps(awaitable: Any, call: Call) -> Generator[Any, Any, Any]:
    # `drive` is both a generator and awaitable; type checkers see only the latter.
    return cast("Generator[Any, Any, Any]", drive(awaitable.__await__(), call))


@types.coroutine
def drive(steps: Any, call: Call) -> Generator[Any, Any, Any]:
    """Run an awaitable's steps, each with `call` as the context's innermost generation."""
    value: Any = None
    thrown: BaseException | None = None
    while True:
        before = get_active()
        set_active(call)
        try:
            if thrown is not None:
                # Outside any handler of ours, so that __context__ stays as undecorated.
                yielded = steps.throw(thrown)
            elif value is None:
                yielded = next(steps)
            else:
                yielded = steps.send(value)
        except StopIteration as stop:
            return stop.value
        finally:
            set_active(before)
            thrown = None
        try:
            value = yield yielded
        except GeneratorExit:
            before = get_active()
            set_active(call)
            try:
                close = getattr(steps, "close", None)
                if close is not None:
                    close()
            finally:
                set_active(before)
            raise
        except BaseException as error:
            thrown = error


def _ended(call: Call, error: BaseException, exhausted: type[BaseException]) -> None:
    if isinstance(error, exhausted):
        end_stream(call, "ok")
    else:
        end_raised(call, error)
