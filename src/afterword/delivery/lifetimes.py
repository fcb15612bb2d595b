"""The ends and forks of processes, as recorders have to know of them (layer 2).

One set of hooks for all recorders, since such hooks cannot be taken back. No signal handlers.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from collections.abc import Callable
from typing import Protocol

EXIT_S = 2.0


class Watched(Protocol):
    """What is told of the process's end, and of being in a child."""

    def after_fork(self) -> None: ...

    def hasten(self) -> None: ...

    def secure(self, timeout_s: float) -> None: ...

    def at_exit(self, timeout_s: float) -> None: ...


_ALL: weakref.WeakSet[Watched] = weakref.WeakSet()
_renewals: list[Callable[[], None]] = []
_watched_by: int | None = None


def watch(watched: Watched) -> None:
    """Tell this one from now on, as long as anybody holds it."""
    _ALL.add(watched)


def watch_worker_exit() -> None:
    """Flush at the end of a forked child of multiprocessing, which ends without atexit."""
    global _watched_by
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is None or util is None or _watched_by == os.getpid():
        return
    _watched_by = os.getpid()
    if process.parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=0)


def call_after_fork(renew: Callable[[], None]) -> None:
    """Call this in every child process, before any recorder is told."""
    _renewals.append(renew)


def _after_fork() -> None:
    for renew in _renewals:
        renew()
    for watched in list(_ALL):
        watched.after_fork()


def _at_exit() -> None:
    deadline_s = time.monotonic() + EXIT_S
    everybody = list(_ALL)
    for watched in everybody:
        watched.hasten()
    # All of them to the disk before any of them waits for its store.
    for watched in everybody:
        watched.secure(max(deadline_s - time.monotonic(), 0.0))
    for watched in everybody:
        watched.at_exit(max(deadline_s - time.monotonic(), 0.0))


def is_ending(error: RuntimeError) -> bool:
    """Whether a thread could not start because the interpreter is at its end."""
    return sys.is_finalizing() or "shutdown" in str(error)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
