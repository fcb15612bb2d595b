"""Retention while a server runs: once an hour, what is too old goes (layer 5)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

from afterword.errors import AfterwordError
from afterword.stores.protocol import Store
from afterword.stores.retention import Clock, remove_old

__all__ = ["retaining"]

EVERY_S = 3_600.0

_LOGGER = logging.getLogger("afterword.server")


@contextmanager
def retaining(
    store: Store, keep_days: int | None, *, every_s: float = EVERY_S, clock: Clock | None = None
) -> Generator[None]:
    """In the block, remove what is older than `keep_days`, now and again; None keeps all of it."""
    over = threading.Event()

    def work() -> None:
        assert keep_days is not None
        while True:
            try:
                removed = remove_old(store, keep_days, clock=clock)
                if removed:
                    _LOGGER.info("%d generations older than %d days removed", removed, keep_days)
            except AfterwordError as error:
                _LOGGER.warning("nothing was removed for its age: %s", error)
            except Exception:
                _LOGGER.exception("removing old generations failed")
            if over.wait(every_s):
                return

    if keep_days is None:
        yield
        return
    thread = threading.Thread(target=work, name="afterword-retention", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5.0)
