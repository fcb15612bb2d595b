"""Faults of ours, kept from the caller: counted, and logged once a minute per kind (layer 2)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_LOG = logging.getLogger("afterword")
_QUIET_S = 60.0


class Faults:
    """A count of faults. Never raises; safe from any thread and from a finaliser."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self._clock_s = clock_s
        self._logged_at_s: dict[str, float] = {}

    def note(self, kind: str, error: BaseException) -> None:
        """Count a fault of this kind, and log it unless one was logged within the last minute."""
        self.count += 1
        try:
            now_s = self._clock_s()
            if now_s - self._logged_at_s.get(kind, -_QUIET_S) >= _QUIET_S:
                self._logged_at_s[kind] = now_s
                # The error's own text may hold what redaction would take out.
                _LOG.warning("afterword: %s failed with %s", kind, type(error).__name__)
                _LOG.debug("afterword: %s failed", kind, exc_info=error)
        except Exception:
            pass  # logging itself is user code, and may fail
