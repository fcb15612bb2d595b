"""Answers of the recorder's thread, brought to those who await them on an event loop (layer 2).

`asyncio.wrap_future` wakes the loop for each answer, with a system call. A commit answers many at
once, and one call will do for all of them.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from functools import partial
from typing import Any, TypeVar

from afterword.delivery.answers import Answer

T = TypeVar("T")

_Waiter = asyncio.Future[Any]


class _Arrivals:
    """What has come for the waiters of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._arrived: deque[tuple[_Waiter, Answer[Any]]] = deque()
        self._is_told = False

    def put(self, waiter: _Waiter, answer: Answer[Any]) -> None:
        """In any thread: the answer is there."""
        self._arrived.append((waiter, answer))
        if not self._is_told:
            self._is_told = True
            loop = self._loop()
            try:
                if loop is not None:
                    loop.call_soon_threadsafe(self._hand_out)
            except RuntimeError:
                self._arrived.clear()  # the loop was closed, and nobody waits any more

    def _hand_out(self) -> None:
        # Before the first is taken: who puts one now tells the loop again, if for nothing.
        self._is_told = False
        while self._arrived:
            waiter, answer = self._arrived.popleft()
            if waiter.done():
                continue  # given up
            if answer.error is None:
                waiter.set_result(answer.result())
            else:
                waiter.set_exception(answer.error)


_BY_LOOP: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Arrivals] = (
    weakref.WeakKeyDictionary()
)


def arriving(answer: Answer[T]) -> asyncio.Future[T]:
    """An answer that a thread will give, to await on the running loop.

    Whoever gives up waiting changes nothing about the answer.
    """
    loop = asyncio.get_running_loop()
    arrivals = _BY_LOOP.get(loop)
    if arrivals is None:
        arrivals = _BY_LOOP[loop] = _Arrivals(loop)
    waiter: asyncio.Future[T] = loop.create_future()
    answer.then(partial(arrivals.put, waiter))
    return waiter
