"""Questions to a store that may not answer, on threads that nobody has to wait for (layer 2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from afterword.delivery.answers import Answer

T = TypeVar("T")

#: How long a store is not asked after it has left a question unanswered, unless it answers that one.
REST_S = 5.0


class Asking:
    """Asks one store."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._rests_until_s = float("-inf")

    @property
    def is_resting(self) -> bool:
        """Whether the store has left a question unanswered, not long ago."""
        return self._clock_s() < self._rests_until_s

    def ask(self, read: Callable[[], T]) -> Answer[T]:
        """Begin to ask; the answer, or what it failed with, comes when it comes."""
        answer: Answer[T] = Answer()
        try:
            threading.Thread(
                target=self._run, args=(read, answer), name="afterword-reader", daemon=True
            ).start()
        except RuntimeError:  # at the interpreter's end no threads start
            self._run(read, answer)
        return answer

    def given_up(self) -> None:
        """Somebody has waited for an answer for long enough."""
        self._rests_until_s = self._clock_s() + REST_S

    def _run(self, read: Callable[[], Any], answer: Answer[Any]) -> None:
        try:
            answer.tell(read())
        except BaseException as error:
            answer.fail(error)
        self._rests_until_s = float("-inf")
