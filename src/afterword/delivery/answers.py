"""An answer that a thread of ours will give, once, and how others hear of it (layer 2).

Unlike a `Future` of the standard library, it takes no lock that its giver needs. A signal handler may break
in on whoever waits, ask the same thread for something itself, and get its answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Answer(Generic[T]):
    """What will be told. Safe from any thread, in signal handlers and in finalisers."""

    __slots__ = ("_claim", "_is_there", "_then", "_value", "error")

    def __init__(self) -> None:
        self._claim = threading.Lock()
        self._then: deque[Callable[[Answer[T]], Any]] = deque()
        self._is_there = False
        self._value: Any = None
        #: What it failed with, once it has.
        self.error: BaseException | None = None

    def tell(self, value: T) -> bool:
        """Give the answer; whether it is the first one, which counts."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Say that there will be none; whether that is the first word, which counts."""
        return self._settle(None, error)

    @property
    def is_there(self) -> bool:
        return self._is_there

    def then(self, act: Callable[[Answer[T]], Any]) -> None:
        """Call `act` with this once it is there: in the thread that gives it, or now."""
        self._then.append(act)
        if self._is_there:
            self._call_all()

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the answer.

        Raises:
            TimeoutError: it has not come within the time.
        """
        if not self._is_there:
            latch = threading.Lock()
            latch.acquire()
            self.then(lambda _: latch.release())
            if not latch.acquire(timeout=-1 if timeout_s is None else max(timeout_s, 0.0)):
                raise TimeoutError
        if self.error is not None:
            raise self.error
        value: T = self._value
        return value

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        if not self._claim.acquire(blocking=False):
            return False
        self._value, self.error = value, error
        self._is_there = True
        self._call_all()
        return True

    def _call_all(self) -> None:
        while True:
            try:
                act = self._then.popleft()
            except IndexError:
                return
            act(self)
