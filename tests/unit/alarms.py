"""A signal that comes again and again, wherever the main thread is."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def alarms(handle: Callable[..., Any], every_s: float = 0.0005) -> Generator[None]:
    """Inside, `handle` is called so often, between any two steps of the main thread."""
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, every_s, every_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
