"""Context: which generation runs here, and which trail it belongs to (layer 1).

The one file that knows contextvars-extras. The registry holds a single pointer, to the innermost
`Active` thing of this context; everything that must be seen from elsewhere (a middleware above, a
sync endpoint's thread below) is written into the mutable `Trail` behind it, because a value set in
a child context never travels up.

The pointer is set before and put back after each step of user code, in that step; no token is kept.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from contextvars_extras import ContextVarsRegistry
from contextvars_extras.context_management import bind_to_snapshot_context

from afterword.collecting import ASIDE, is_collecting, watch_collections
from afterword.ids import check_data_id, new_id

P = ParamSpec("P")
R = TypeVar("R")

_IMPLICIT_KEPT = 256


class Active(Protocol):
    """What the context points at: a running call, or a trail. Linked to the one around it."""

    @property
    def data_id(self) -> str | None: ...

    @property
    def done(self) -> bool: ...

    @property
    def parent(self) -> Active | None: ...

    @property
    def trail(self) -> Trail: ...


class _Vars(ContextVarsRegistry):  # type: ignore[misc]  # the library ships no types
    active: Any = None


_VAR = cast("ContextVar[Active | None]", _Vars.__dict__["active"].context_var)

#: The descriptor of the registry costs five times its plain variable, and every call pays it.
get_active: Callable[[], Active | None] = _VAR.get
set_active: Callable[[Active | None], Any] = _VAR.set


class Trail:
    """The data IDs of one request, or of one block of code, and what applies to all of them.

    Mutable and shared by every thread and task of the block. `data_ids` are the outermost
    generations begun here, oldest first; `last` is the most recent.
    """

    __slots__ = (
        "__weakref__", "_before", "_owner", "_reserved", "_session", "_user", "client_gone", "data_id",
        "data_ids", "done", "draw", "metadata", "parent", "subject", "ticket", "upcoming",
    )  # fmt: skip

    def __init__(
        self,
        *,
        user: str | Callable[[], str | None] | None = None,
        session: str | Callable[[], str | None] | None = None,
        metadata: Mapping[str, Any] | None = None,
        data_id: str | None = None,
    ) -> None:
        self.data_id: str | None = None
        self.done = False
        self.parent: Active | None = None
        self.data_ids: list[str] = []
        self.metadata = dict(metadata) if metadata else None
        self._user = user
        self._session = session
        # One slot, in a dict because its methods are single steps for threads.
        self._reserved = {} if data_id is None else {"id": check_data_id(data_id)}
        self._owner: _Owner | None = None
        self._before: Active | None = None
        #: Set by the middleware when the browser has hung up.
        self.client_gone = False
        #: The data ID of the newest stream made here that has not begun, or None.
        self.upcoming: str | None = None
        #: What the web layer keeps here: who rates, when nobody knows their name; what makes the first data
        #: ID, when it may have a token already; and the ID and the token, if it had.
        self.subject: Any = None
        self.draw: Callable[[Trail], str] | None = None
        self.ticket: Any = None

    @property
    def trail(self) -> Trail:
        """Itself. Kept as a value, only the garbage collector could free it."""
        return self

    @property
    def last(self) -> str | None:
        """The data ID of the most recent outermost generation begun here, or None."""
        return self.data_ids[-1] if self.data_ids else None

    @property
    def user(self) -> str | None:
        """The end user, or None. A callable given as user is asked until it knows one."""
        return self._asked("_user")

    @property
    def session(self) -> str | None:
        """The session, or None. A callable given as session is asked until it knows one."""
        return self._asked("_session")

    def _asked(self, field: str) -> str | None:
        known: Any = getattr(self, field)
        if callable(known):
            known = known()
            if known is not None:
                setattr(self, field, known := str(known))
        return cast("str | None", known)

    def reserve(self) -> str:
        """The data ID that the next outermost generation begun here will take."""
        reserved = self._reserved.get("id")
        if reserved is None:
            made = new_id() if self.draw is None else self.draw(self)
            reserved = self._reserved.setdefault("id", made)
        return reserved

    @property
    def reserved(self) -> str | None:
        """The data ID announced but not yet taken, or None."""
        return self._reserved.get("id")

    def take(self) -> str:
        """A data ID for an outermost generation: the reserved one, once, else a new one."""
        reserved = self._reserved.pop("id", None) if self._reserved else None
        return reserved or (new_id() if self.draw is None else self.draw(self))

    def give_back(self, data_id: str) -> None:
        """Undo `take` for a stream that never started, so that the next generation adopts the ID."""
        if self.upcoming == data_id:
            self.upcoming = None
        if not self.done:
            self._reserved.setdefault("id", data_id)

    def shared(self, around: Active | None) -> Trail:
        """This trail under another identity, valid in any thread or task it is carried to."""
        view = Trail(metadata=self.metadata)
        view.data_ids = self.data_ids
        view.parent = running(around)
        return view

    def __enter__(self) -> Trail:
        before = get_active()
        self._before = before
        self.parent = running(before) or live_trail(before)
        set_active(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done = True
        if get_active() is self:
            set_active(self._before)
        self._before = None

    async def __aenter__(self) -> Trail:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Trail data_ids={self.data_ids!r}>"


class _Owner:
    """The thread and task, or the job of a thread pool, that an implicit trail belongs to.

    A task or thread started later may inherit the pointer in its copied context, and a pool's
    thread goes from job to job; none must find a neighbour's IDs there, so an implicit trail counts
    only where it was made.
    """

    __slots__ = ("job", "task", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        task = _current_task()
        self.task = None if task is None else weakref.ref(task)
        job = None if task is not None else _current_job()
        self.job = None if job is None else weakref.ref(job)

    def is_here(self) -> bool:
        if self.thread != threading.get_ident():
            return False
        task = None if self.task is None else self.task()
        if task is not _current_task():
            return False
        if self.job is None:
            return True
        job = self.job()
        return job is not None and job is _current_job()


def _current_job() -> Any:
    """What this thread of a `ThreadPoolExecutor` works at; None in any other thread."""
    pools: Any = sys.modules.get("concurrent.futures.thread")
    try:
        if pools is None or threading.get_ident() == threading.main_thread().ident:
            return None
        run = pools._WorkItem.run.__code__
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not run:
            frame = frame.f_back
        return None if frame is None else frame.f_locals["self"]
    except Exception:
        return None  # another Python has other pools, and then their threads count as plain ones


def _current_task() -> Any:
    loop = asyncio._get_running_loop()
    if loop is not None:
        return asyncio.current_task(loop)
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            return trio.lowlevel.current_task()
        except RuntimeError:
            return None
    return None


def innermost() -> Active | None:
    """What the context points at, unless that is the garbage collector's surroundings."""
    active = get_active()
    return None if active is ASIDE[0] and is_collecting() else active


def finalise(active: Active, act: Callable[..., Any], *values: Any) -> Any:
    """`act(*values)` with the pointer at `active`, inside a finaliser."""
    if is_collecting():
        return copy_context().run(_pointing, active, act, *values)
    return _pointing(active, act, *values)


def _pointing(active: Active, act: Callable[..., Any], *values: Any) -> Any:
    before = get_active()
    set_active(active)
    try:
        return act(*values)
    finally:
        set_active(before)


def live_trail(active: Active | None) -> Trail | None:
    """The trail that counts here, given the context's pointer; None when there is none."""
    while active is not None:
        trail = active.trail
        if active.data_id is not None and not active.done:
            return trail  # whoever runs inside a call is in its trail, in whichever thread or task
        if not trail.done and (trail._owner is None or trail._owner.is_here()):
            return trail
        active = active.parent or trail.parent
    return None


def implicit_trail() -> Trail:
    """A new trail for code that opened none, set as this context's pointer."""
    trail = Trail()
    trail._owner = _Owner()
    set_active(trail)
    return trail


def running(active: Active | None) -> Active | None:
    """The innermost call still running at or around `active`, or None."""
    while active is not None and (active.data_id is None or active.done):
        active = active.parent
    return active


def enlist(trail: Trail, data_id: str) -> None:
    """Note an outermost generation's ID in its trail."""
    ids = trail.data_ids
    if trail.upcoming == data_id:
        trail.upcoming = None
    ids.append(data_id)
    if trail._owner is not None and len(ids) > _IMPLICIT_KEPT:
        del ids[: _IMPLICIT_KEPT // 2]


def current_trail() -> Trail | None:
    """The trail open here, or None. Never raises."""
    return live_trail(innermost())


def current_data_id() -> str | None:
    """The data ID of the innermost generation running here, or None. Never raises."""
    call = running(innermost())
    return None if call is None else call.data_id


def last_data_id() -> str | None:
    """The data ID of the most recent outermost generation begun in this trail, or None.

    Without `trail()` or the middleware, the trail is that of the present thread or task.
    """
    trail = live_trail(innermost())
    return None if trail is None else trail.last


def trail(
    user: str | None = None,
    session: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    data_id: str | None = None,
) -> Trail:
    """A trail to open with ``with`` or ``async with``, outside the web.

    Generations begun in the block carry `user`, `session` and `metadata`; the first outermost one
    takes `data_id` if it is given.

    Raises:
        InvalidInput: `data_id` is not a data ID.
    """
    return Trail(user=user, session=session, metadata=metadata, data_id=data_id)


def carry(fn: Callable[P, R]) -> Callable[P, R]:
    """`fn` bound to a snapshot of the present context, for executors and callbacks.

    Each call of the result runs in that snapshot, whichever thread makes it, and notes its
    generations in the present trail.
    """
    trail = live_trail(get_active()) or implicit_trail()
    around = get_active()
    if trail._owner is not None:
        set_active(trail.shared(around))
    try:
        run = bind_to_snapshot_context(_apply)
    finally:
        set_active(around)

    @functools.wraps(fn)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", run(call=functools.partial(fn, *args, **kwargs)))

    return carried


def _apply(*, call: Callable[[], Any]) -> Any:
    # By keyword, since the library's binder loses the arguments given by position.
    return call()


watch_collections(get_active, set_active)
