"""One call of a decorated function, from its first step to its record (layer 4).

`prepare`, `begin` and the `end_*` functions are all that runs on the caller's thread. None of them
may raise into the user's function: a fault of ours is counted and the call goes on unrecorded.
"""

from __future__ import annotations

import asyncio
import atexit
import random
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from afterword.capture.records import CALL_BYTES, OVERFULL, UNWANTED, Call, Spec
from afterword.context import (
    enlist,
    get_active,
    implicit_trail,
    live_trail,
    running,
)
from afterword.default import default_client
from afterword.delivery.faults import Faults
from afterword.ids import new_id
from afterword.snapshot import MAX_BYTES, Packed, size_bytes, snapshot

_MAX_CHUNKS = 100_000

#: Faults met before there is a client to count them.
_homeless = Faults()

#: Streams begun and not over, so that interpreter exit does not lose them.
OPEN: dict[int, Call] = {}

#: Gives a stream that begins with this chunk the place where its chunks are gathered, or None.
_gather: Callable[[Any], Any] | None = None

_now_ns = time.time_ns
_clock_ns = time.perf_counter_ns


def gather_with(gather: Callable[[Any], Any]) -> None:
    """Let `gather` give streams of providers' chunks their place: `append`, `joined`, `left_bytes`."""
    global _gather
    _gather = gather


def prepare(spec: Spec, args: Any, kwargs: dict[str, Any], skip: int) -> Call | None:
    """A call with its snapshot and its data ID, not begun yet; None when a fault of ours stops it."""
    client = spec.client
    try:
        if client is None:
            client = default_client()
        active = get_active()
        if active is None:
            active = trail = implicit_trail()
            parent = None
        else:
            trail = active.trail
            if trail.done or trail._owner is not None:
                live = live_trail(active)
                if live is None:
                    active = live = implicit_trail()
                trail = live
            parent = active if active.data_id is not None and not active.done else running(active)
        outermost = parent is None or parent.trail.data_ids is not trail.data_ids
        arguments = _arguments(spec, args, kwargs, skip)
        user = None if trail._user is None else trail.user
        session = None if trail._session is None else trail.session
        data_id = trail.take() if outermost else new_id()
        root_id = data_id if parent is None else getattr(parent, "root_id", None)
        call = Call(
            spec, client, trail, parent, active, skip, data_id, root_id, outermost,
            arguments, user, session,
        )  # fmt: skip
        if spec.project is not None and spec.project != client.project:
            client.desk.note_place(call.data_id, spec.project)
        return call
    except Exception as error:
        (client.faults if client is not None else _homeless).note("beginning a generation", error)
        return None


def _arguments(spec: Spec, args: Any, kwargs: dict[str, Any], skip: int) -> Any:
    """The arguments as they are now: (args, kwargs) snapshots, or what the user's picker gives."""
    picker = spec.inputs
    if picker is True:
        packed = tuple([snapshot(value) for value in args])
        if kwargs:
            return packed, {name: snapshot(value) for name, value in kwargs.items()}
        return packed, None
    if picker is False:
        return None
    assert callable(picker)
    return snapshot(picker(spec.names.bind(args, kwargs, skip)))


def begin(call: Call) -> None:
    """The call's first step: it counts from here on. The caller sets the context."""
    call.begun = True
    try:
        if call.outermost:
            enlist(call.trail, call.data_id)
        if call.streamed:
            OPEN[id(call)] = call
        if "opentelemetry.trace" in sys.modules:
            call.span = _span()
        call.created_ns = _now_ns()
        call.started_ns = _clock_ns()
    except Exception as error:
        call.client.faults.note("beginning a generation", error)


def end_ok(call: Call, value: Any) -> None:
    """The call returned `value`."""
    try:
        output = call.spec.output
        if output is True:
            call.output = snapshot(value)
        elif output is not False:
            assert callable(output)
            call.output = snapshot(output(value))
    except Exception as error:
        call.client.faults.note("recording an output", error)
    end_stream(call, "ok")


def end_raised(call: Call, error: BaseException) -> None:
    """The call, or a step of its stream, raised."""
    status = "error"
    try:
        if isinstance(error, GeneratorExit):
            status = "abandoned"
        elif isinstance(error, asyncio.CancelledError) or _is_other_cancellation(error):
            status = "abandoned" if call.streamed and call.trail.client_gone else "cancelled"
        else:
            call.error = _described(error)
    except Exception as fault:
        call.client.faults.note("recording an error", fault)
    end_stream(call, status)


def end_stream(call: Call, status: str) -> None:
    """The call, or its stream, came to its end in this way. Only the first end counts."""
    if call.done:
        return
    call.done = True
    try:
        call.duration_ns = _clock_ns() - call.started_ns
        call.status = status
        call.before = None
        if call.streamed:
            OPEN.pop(id(call), None)
        sample = call.spec.sample
        if sample is not None and not _sampled(sample):
            _keep_no_payload(call)
        call.size_bytes = _size_bytes(call)
        call.client.recorder.put(call)
    except Exception as error:
        call.client.faults.note("recording a generation", error)


def add_chunk(call: Call, chunk: Any) -> None:
    """One chunk of a stream, kept as it is now."""
    try:
        chunks: Any = call.chunks
        if chunks is None:
            call.first_ns = _clock_ns()
            gathered = None if type(chunk) is str or _gather is None else _gather(chunk)
            chunks = [] if gathered is None else gathered
            call.chunks = chunks
            call.room = MAX_BYTES
            if call.spec.output is False:
                call.room = UNWANTED
        if call.room < 0:
            return
        if type(chunks) is not list:
            chunks.append(chunk)
            call.room = chunks.left_bytes
            return
        if type(chunk) is not str:
            chunk = snapshot(chunk)
            call.room -= size_bytes(chunk)
        else:
            call.room -= len(chunk) + 8
        if call.room < 0 or len(chunks) > _MAX_CHUNKS:
            call.room = OVERFULL
            return
        chunks.append(chunk)
    except Exception as error:
        call.room = OVERFULL
        call.client.faults.note("recording a chunk", error)


def _size_bytes(call: Call) -> int:
    """Roughly what the call's snapshots hold; exact enough to bound the buffer."""
    size = CALL_BYTES
    arguments = call.arguments
    if type(arguments) is tuple:
        size += _held_bytes(arguments[0])
        if arguments[1] is not None:
            size += _held_bytes(arguments[1].values())
        size += _held_bytes((call.output,))
    else:
        size += _held_bytes((arguments, call.output))
    if call.notes is not None:
        size += _held_bytes(call.notes.values())
    if call.chunks is not None and call.room >= 0:
        size += MAX_BYTES - call.room
    return size


def _held_bytes(snapshots: Iterable[Any]) -> int:
    size = 0
    for value in snapshots:
        kind = type(value)
        if kind is str:
            size += len(value)
        elif kind is Packed:
            size += len(value.data) + 100
    return size


def _keep_no_payload(call: Call) -> None:
    call.shed()
    notes = call.notes or {}
    call.notes = {**notes, "metadata": {**notes.get("metadata", {}), "sampled_out": True}}


def _sampled(sample: float | Callable[[], bool]) -> bool:
    if callable(sample):
        return bool(sample())
    return random.random() < sample


def _described(error: BaseException) -> tuple[str, str]:
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception:
        message = "<its message could not be read>"
    return name, message[:20_000]


def _is_other_cancellation(error: BaseException) -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and isinstance(error, trio.Cancelled)


def _span() -> tuple[str, str] | None:
    try:
        context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
        if context.is_valid:
            return format(context.trace_id, "032x"), format(context.span_id, "016x")
    except Exception:
        pass  # half-imported or foreign; a span is a nicety
    return None


def end_all_streams() -> None:
    """Record what open streams have given so far. Runs at interpreter exit."""
    for call in list(OPEN.values()):
        end_stream(call, "abandoned")


atexit.register(end_all_streams)
