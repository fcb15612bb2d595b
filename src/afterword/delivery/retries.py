"""When to try a store again (layer 2).

Full jitter, as in "Exponential Backoff And Jitter" (AWS, 2015): a delay is drawn from 0 to a bound that
doubles with each failure, so that many clients of one server do not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from afterword.errors import StoreError, StoreRefused

MAX_RETRY_AFTER_S = 900.0
_AFTER_JITTER_S = 0.5
_LEAST_S = 0.01


class Pace(NamedTuple):
    """The first bound of the delays, and the last."""

    first_s: float
    last_s: float


#: A server may have many clients; a file is only locked, or its disk full.
REMOTE = Pace(0.5, 300.0)
LOCAL = Pace(0.05, 2.0)


class Retries:
    """Whether a store is away, and when it is to be tried again."""

    def __init__(
        self, pace: Pace, *, clock_s: Callable[[], float], draw: random.Random | None = None
    ) -> None:
        self._pace = pace
        self._clock_s = clock_s
        self._draw = draw or random.Random()
        self._failures = 0
        self._due_s = 0.0
        self._is_told = False
        #: What the last try failed with; None when it did not.
        self.reason: BaseException | None = None

    @property
    def away(self) -> bool:
        """Whether the last try failed."""
        return self.reason is not None

    def failed(self, error: BaseException) -> None:
        """A try failed with this."""
        self.reason = error
        told_s = error.retry_after_s if isinstance(error, StoreError) else None
        self._is_told = told_s is not None
        self._due_s = self._clock_s() + self._delay_s(error, told_s)
        self._failures += 1

    def succeeded(self) -> None:
        """A try succeeded."""
        self.reason = None
        self._failures = 0
        self._is_told = False

    def presume_back(self) -> None:
        """There was nothing to try the store with; the next try counts on from the failures so far."""
        self.reason = None

    def left_s(self) -> float:
        """How long to wait for the next try; 0 or less when it is due."""
        return self._due_s - self._clock_s() if self.away else 0.0

    def hurry(self) -> None:
        """Somebody waits: let the next try be due now, unless the store itself named a time."""
        if not self._is_told:
            self._due_s = self._clock_s()

    def _delay_s(self, error: BaseException, told_s: float | None) -> float:
        if told_s is not None:
            told_s = min(max(told_s, 0.0), MAX_RETRY_AFTER_S)
            return told_s + self._draw.uniform(0.0, _AFTER_JITTER_S)
        if isinstance(error, StoreRefused):
            # Trying does not mend a key; whoever does restarts the program, or waits.
            return self._draw.uniform(self._pace.last_s / 2, self._pace.last_s)
        bound_s = min(self._pace.first_s * 2.0 ** min(self._failures, 30), self._pace.last_s)
        return max(self._draw.uniform(0.0, bound_s), _LEAST_S)
