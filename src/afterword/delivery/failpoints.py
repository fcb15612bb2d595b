"""Named places where a test may end the process at once, to see what a restart finds (layer 2).

``AFTERWORD_FAILPOINT=name:n`` kills the process, as kill -9 does, the n-th time it comes by `name`.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "AFTERWORD_FAILPOINT"


def _armed(text: str) -> tuple[str, int] | None:
    name, _, times = text.partition(":")
    return (name, int(times or "1")) if name else None


_name, _left = _armed(os.environ.get(VARIABLE, "")) or ("", 0)


def failpoint(name: str) -> None:
    """Nothing, unless the environment names this place."""
    global _left
    if name == _name:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
