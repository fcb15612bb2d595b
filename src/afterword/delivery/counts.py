"""Where every record is now, counted (layer 2)."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

#: A reading that broke in on a move of its own thread would never find it over.
_TRIES = 100


class Counts:
    """Moves are made under a lock, and whoever reads takes none: it reads again if something has moved.

    So a signal handler that breaks in on a reader, and waits for a thread that moves, has it come through.
    The counts with `own` in their name leave out what was adopted from processes that ended.
    """

    def __init__(self) -> None:
        # Reentrant, since a finaliser may break in on a move.
        self._lock = threading.RLock()
        self._depth = 0
        #: Odd while a move is under way.
        self._moves = 0
        self._latches: deque[threading.Lock] = deque()
        self.in_hand = 0
        self.in_memory = 0
        self.spooled = 0
        self.stored = 0
        self.dead_lettered = 0
        self.lost = 0
        self.own_spooled = 0
        self.own_done = 0

    @contextmanager
    def moving(self) -> Generator[None]:
        """What is done inside is seen whole or not at all, and is told to those who wait."""
        with self._lock:
            self._moves += self._depth == 0
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                self._moves += self._depth == 0
        while True:
            try:
                self._latches.popleft().release()
            except IndexError:
                return

    def move(
        self,
        *,
        in_hand: int = 0,
        in_memory: int = 0,
        spooled: int = 0,
        stored: int = 0,
        dead_lettered: int = 0,
        lost: int = 0,
        is_own: bool = True,
    ) -> None:
        """Add these to the counts, some of them negative, at once."""
        with self.moving():
            self.in_hand += in_hand
            self.in_memory += in_memory
            self.spooled += spooled
            self.stored += stored
            self.dead_lettered += dead_lettered
            self.lost += lost
            if is_own:
                self.own_spooled += spooled
                self.own_done += stored + dead_lettered + lost

    def read(self, what: Callable[[], T]) -> T:
        """What `what` finds in the counts, all at one instant."""
        for _ in range(_TRIES):
            before = self._moves
            found = what()
            if before == self._moves and before % 2 == 0:
                return found
            time.sleep(0)
        return what()

    @contextmanager
    def watch(self) -> Generator[threading.Lock]:
        """A lock that is taken, and let go by the next move."""
        latch = threading.Lock()
        latch.acquire()
        self._latches.append(latch)
        try:
            yield latch
        finally:
            # Another thread may be taking from it, and then this one is told in a moment.
            with suppress(ValueError, IndexError, RuntimeError):
                self._latches.remove(latch)
