"""The garbage collector, which runs finalisers of anybody in the middle of anybody's code (layer 1).

It collects what another request left behind in the middle of this one, and a generator's ``finally`` would
otherwise attach to this one what it does for that other. So what the context points at when it begins is
set aside while it runs.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from typing import Any, cast

#: Until Python 3.12 the garbage collector may run in the middle of a ContextVar's `set`, and another
#: one in the same context would free what that one is copying.
COLLECTED_ANYWHERE = sys.version_info < (3, 12)
_NOTHING = object()
#: While the garbage collector runs: what the context pointed at when it began, and in which thread.
#: What finalisers do then is not part of that.
ASIDE: list[Any] = [_NOTHING, 0]

#: A `set` that was interrupted reads on in what finalisers free, so copies of the context hold it.
_held = deque[Context](maxlen=256 if COLLECTED_ANYWHERE else 0)


def is_collecting() -> bool:
    """Whether this runs in a finaliser that the garbage collector called in this thread."""
    return bool(ASIDE[1] == threading.get_ident())


def watch_collections(get_active: Callable[[], Any], set_active: Callable[[Any], Any]) -> None:
    """Set aside what the context points at, whenever the garbage collector runs from now on."""

    def during(phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            ASIDE[:] = get_active(), threading.get_ident()
            return
        before = ASIDE[0]
        ASIDE[:] = _NOTHING, 0
        # What finalisers called may have opened a trail here; before 3.12 such calls go unrecorded.
        if not COLLECTED_ANYWHERE and get_active() is not before:
            set_active(before)

    # Each call appends a copy of the context. All of it is C, so that no signal handler comes first.
    hold = functools.partial(next, enumerate(map(_held.append, iter(copy_context, None))))
    # `max` hands what it is called with to its key, one by one, which takes the place of a function.
    gc.callbacks += [functools.partial(cast("Any", max), key=hold), during]
