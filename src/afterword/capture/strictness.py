"""Waiting until a call's record is durable, for clients that are strict about it (layer 4).

A call that was cancelled, or a stream that its consumer let go, has nobody left who could wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from afterword.capture.records import Call
from afterword.delivery.arrivals import arriving
from afterword.delivery.recorder import LONGEST_S
from afterword.errors import DeliveryError


def wait(call: Call) -> None:
    """Block until the record is durable, or is known not to be, which counts as a fault."""
    waiter = call.waiter  # which the recorder's thread may not have seen yet
    if waiter is not None:
        try:
            is_durable = waiter.result(LONGEST_S)
        except TimeoutError:
            is_durable = False
        _note(call, is_durable)


def waiting(call: Call) -> Generator[Any, Any, None]:
    """The steps of an awaitable that does as `wait`. Without asyncio it blocks after all."""
    waiter = call.waiter
    if waiter is None:
        return
    try:
        arrival = arriving(waiter)
    except RuntimeError:  # another kind of loop runs here
        wait(call)
        return
    _note(call, (yield from arrival.__await__()))


async def settled(call: Call) -> None:
    """Return once the record is durable, or is known not to be."""
    waiter = call.waiter
    if waiter is not None:
        try:
            arrival: asyncio.Future[bool] = arriving(waiter)
        except RuntimeError:
            _note(call, waiter.result(LONGEST_S))
        else:
            _note(call, await arrival)


class Settling:
    """The last steps of an awaitable that is stepped by hand: waiting, then its outcome."""

    __slots__ = ("_error", "_steps", "_value")

    def __init__(self, call: Call, value: Any, error: BaseException | None) -> None:
        self._steps = waiting(call)
        self._value = value
        self._error = error

    def send(self, value: Any) -> Any:
        try:
            return self._steps.send(value)
        except StopIteration:
            pass
        return self._end()

    def throw(self, *error: Any) -> Any:
        try:
            return self._steps.throw(*error)
        except StopIteration:
            pass
        return self._end()

    def _end(self) -> Any:
        # Outside any handler of ours, so that __context__ stays as undecorated.
        error, self._error = self._error, None
        if error is not None:
            raise error
        stop = StopIteration()
        stop.value = self._value  # as an argument, a tuple would be taken apart
        raise stop


def _note(call: Call, is_durable: bool) -> None:
    call.waiter = None
    if not is_durable:
        call.client.faults.note("making a generation durable", DeliveryError())
