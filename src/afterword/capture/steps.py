"""Awaitables driven a step at a time, each step under its call (layer 4).

No task is made: the steps run in the task that awaits, so that timeouts and cancellation reach them
as they would have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from afterword.capture.calls import add_chunk, begin, end_raised, end_stream, note_fault, quietly
from afterword.capture.records import Call
from afterword.capture.strictness import Settling, waiting
from afterword.client import Client
from afterword.context import Active, get_active, set_active

_BEGINNING = "beginning a generation"
_ENDING = "recording an output"


class Follower(Protocol):
    """What follows the steps of one awaitable. None of it changes what the awaiter sees."""

    awaitable: Any
    #: What is stepped after the last step, while the record is made durable.
    settling: Settling | None

    @property
    def client(self) -> Client | None:
        """Who counts the faults."""
        ...

    def start(self) -> Call | None:
        """Before a step: the call that it runs under, or None when it is not recorded."""
        ...

    def done(self, value: Any) -> Any:
        """After the last step; gives what the awaiter gets."""
        ...

    def failed(self, error: BaseException) -> None:
        """After a step that raised."""
        ...


def steps_of(awaitable: Any) -> Any:
    """The iterator that runs an awaitable."""
    run = getattr(awaitable, "__await__", None)
    return awaitable if run is None else run()  # a generator-based coroutine runs itself


def drive(
    steps: Any, follower: Follower, call: Call | None, done: Callable[[Any, Any], Any], subject: Any
) -> Generator[Any, Any, Any]:
    """Run an awaitable's steps under `call`; the awaiter gets `done(subject, value)`."""
    if call is None:
        return done(subject, (yield from steps))
    active: Active = call
    value: Any = None
    thrown: BaseException | None = None
    while True:
        before = get_active()
        set_active(active)
        try:
            if thrown is None:
                yielded = next(steps) if value is None else steps.send(value)
            else:
                # Outside any handler of ours, so that __context__ stays as undecorated.
                leaving = isinstance(thrown, GeneratorExit)
                act = getattr(steps, "close" if leaving else "throw", None)
                yielded = None if act is None else act() if leaving else act(thrown)
                if leaving or act is None:
                    raise thrown
        except StopIteration as stop:
            set_active(before)
            thrown = None
            value = stop.value
            break
        except BaseException as error:
            set_active(before)
            thrown = None  # or it would hold this frame, and this frame it
            quietly(call.client, follower.failed, error)
            if call.waiter is not None and isinstance(error, Exception):
                yield from waiting(call)
            raise
        active = get_active() or call  # the body may be inside a trail of its own
        set_active(before)
        thrown = None
        try:
            value = yield yielded
        except BaseException as error:
            thrown = error
    try:
        value = done(subject, value)
    except Exception as error:
        note_fault(call.client, _ENDING, error)
    if call.waiter is not None:
        yield from waiting(call)
    return value


def resume(follower: Follower, act: Callable[..., Any], *values: Any) -> Any:
    """One step of an awaitable that is stepped by hand, as tasks of asyncio do."""
    call = started(follower)
    yielded: Any = None
    settling: Settling | None = None
    before = get_active()
    if call is not None:
        set_active(call.inside or call)
    try:
        yielded = act(*values)
    except StopIteration as stop:
        set_active(before)
        stop.value = finished(follower, stop.value)
        if call is None or call.waiter is None:
            raise
        settling = Settling(call, stop.value, None)
    except BaseException as error:
        set_active(before)
        quietly(follower.client, follower.failed, error)
        if call is None or call.waiter is None or not isinstance(error, Exception):
            raise
        settling = Settling(call, None, error)
    if settling is not None:
        follower.settling = settling
        return settling.send(None)
    if call is not None:
        inside = get_active()
        call.inside = None if inside is call else inside
        set_active(before)
    return yielded


def sending(follower: Follower) -> Callable[[Any], Any]:
    """`send` of an awaitable that is stepped by hand."""
    settling: Settling | None = getattr(follower, "settling", None)  # steps begin without one
    if settling is not None:
        return settling.send
    # Made of C, so that tasks find one frame of ours in a traceback.
    return functools.partial(resume, follower, follower.awaitable.send)


def throwing(follower: Follower) -> Callable[..., Any]:
    """`throw` of an awaitable that is stepped by hand."""
    settling: Settling | None = getattr(follower, "settling", None)  # steps begin without one
    if settling is not None:
        return settling.throw
    return functools.partial(resume, follower, follower.awaitable.throw)


def started(follower: Follower) -> Call | None:
    try:
        return follower.start()
    except Exception as error:
        note_fault(follower.client, _BEGINNING, error)
        return None


def finished(follower: Follower, value: Any) -> Any:
    try:
        return follower.done(value)
    except Exception as error:
        note_fault(follower.client, _ENDING, error)
        return value


class Step:
    """One step of an async stream. Like what it stands for, it can be awaited or stepped by hand."""

    __slots__ = ("awaitable", "call", "settling", "stream")

    # Filled by `step`: a constructor of its own would cost as much as all the rest.
    awaitable: Any
    stream: Any
    call: Call
    settling: Settling | None

    def __await__(self) -> Generator[Any, Any, Any]:
        call = self.call
        if not call.begun:
            quietly(call.client, begin, call)
        return drive(steps_of(self.awaitable), self, call, add_chunk, call)

    def __iter__(self) -> Iterator[Any]:
        return self.__await__()

    def __next__(self) -> Any:
        return self.send(None)

    @property
    def send(self) -> Callable[[Any], Any]:
        return sending(self)

    @property
    def throw(self) -> Callable[..., Any]:
        return throwing(self)

    @property
    def close(self) -> Callable[[], Any]:
        close: Callable[[], Any] = self.awaitable.close
        return close

    @property
    def client(self) -> Client | None:
        return self.call.client

    def start(self) -> Call | None:
        call = self.call
        if not call.begun:
            begin(call)
        return call

    def done(self, value: Any) -> Any:
        return add_chunk(self.call, value)

    def failed(self, error: BaseException) -> None:
        ended(self.call, self.stream, error)


def step(awaitable: Any, stream: Any, call: Call) -> Step:
    """One step of this stream."""
    made = Step()
    made.awaitable = awaitable
    made.stream = stream
    made.call = call
    return made


def ended(call: Call, stream: Any, error: BaseException) -> None:
    """A step of a stream raised, if only to say that there is no more."""
    if isinstance(error, (StopIteration, StopAsyncIteration)):
        end_stream(call, "ok")
    elif getattr(stream, "gi_frame", None) is None and getattr(stream, "ag_frame", None) is None:
        end_raised(call, error)
    # else it is a generator that goes on: somebody stepped it while it was running
