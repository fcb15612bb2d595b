"""Forks and SQLite: no thread is inside SQLite while the process forks (layer 2).

A child inherits SQLite's own mutexes and its notes on locks as they are at that moment. Held by a thread that
the child does not have, they would stay held: the child would wait for ever, or find the file locked for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

#: How long a fork waits for threads to come out. Most are in for some milliseconds.
LONGEST_S = 2.0


class Gate:
    """Threads go in and out; while a process forks, nobody is in.

    Without a fork no lock is taken: a signal handler may break in on a thread at the gate, and wait for one
    that has yet to go in.
    """

    def __init__(self) -> None:
        self._moved = threading.Condition(threading.RLock())
        #: How often each thread is in. Only the thread itself and what breaks in on it change its number.
        self._inside: dict[int, int] = {}
        self._forks = 0
        self._own = threading.local()

    @contextmanager
    def inside(self) -> Generator[None]:
        """Be in, once no fork is under way. Whoever is in may go in again."""
        depth = self._depth
        if depth == 0:
            self._enter()
        self._own.depth = depth + 1
        try:
            yield
        finally:
            self._own.depth = depth
            if depth == 0:
                self._leave()

    @contextmanager
    def outside(self) -> Generator[None]:
        """Be out for a while, as when waiting for another process."""
        depth = self._depth
        if depth == 0:
            yield
            return
        self._own.depth = 0
        self._leave()
        try:
            yield
        finally:
            self._enter()
            self._own.depth = depth

    @property
    def _depth(self) -> int:
        return getattr(self._own, "depth", 0)

    def _enter(self) -> None:
        self._count(1)
        if self._forks:
            self._count(-1)
            with self._moved:
                self._moved.notify_all()
                self._moved.wait_for(lambda: not self._forks, LONGEST_S)
            self._count(1)

    def _leave(self) -> None:
        self._count(-1)
        if self._forks:
            with self._moved:
                self._moved.notify_all()

    def _count(self, by: int) -> None:
        me = threading.get_ident()
        count = self._inside.get(me, 0) + by
        if count:
            self._inside[me] = count
        else:
            self._inside.pop(me, None)

    def close(self) -> None:
        """Let nobody in, and wait until all are out. Whoever calls it holds the gate until `open`."""
        self._moved.acquire()
        self._forks += 1
        own = {threading.get_ident()}
        self._moved.wait_for(lambda: own.issuperset(set(self._inside)), LONGEST_S)

    def open(self) -> None:
        self._forks -= 1
        self._moved.notify_all()
        self._moved.release()


GATE = Gate()


def _in_child() -> None:
    GATE.__init__()  # type: ignore[misc]  # the threads that were at it are not here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=GATE.close, after_in_parent=GATE.open, after_in_child=_in_child)
