"""Where every record is now, counted (layer 2)."""

from __future__ import annotations

import threading


class Counts:
    """Moves are made under one lock, so that whoever reads the counts under it finds them in step.

    `settled` is told of each move. The counts with `own` in their name leave out what was adopted
    from processes that ended.
    """

    def __init__(self) -> None:
        # Reentrant, since a finaliser or a signal handler may read the counts inside a reading.
        self.settled = threading.Condition(threading.RLock())
        self.in_hand = 0
        self.in_memory = 0
        self.spooled = 0
        self.stored = 0
        self.dead_lettered = 0
        self.lost = 0
        self.own_spooled = 0
        self.own_done = 0

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
        with self.settled:
            self.in_hand += in_hand
            self.in_memory += in_memory
            self.spooled += spooled
            self.stored += stored
            self.dead_lettered += dead_lettered
            self.lost += lost
            if is_own:
                self.own_spooled += spooled
                self.own_done += stored + dead_lettered + lost
            self.settled.notify_all()
