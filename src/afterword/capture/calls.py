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
from collections.abc import Callable
from typing import Any

from afterword.capture.records import CALL_BYTES, OVERFULL, UNWANTED, Call, Record, Spec, record_of
from afterword.client import Client
from afterword.collecting import ASIDE, COLLECTED_ANYWHERE, is_collecting
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


def note_fault(client: Client | None, kind: str, error: BaseException) -> None:
    """Count a fault of ours. Never raises."""
    try:
        (client or default_client()).faults.note(kind, error)
    except Exception as unknown:
        try:
            _homeless.note(kind, unknown)
        except Exception:
            pass  # nobody is left to tell


def quietly(client: Client | None, act: Callable[..., Any], *arguments: Any) -> Any:
    """What `act` gives; None when it raises, which is counted as a fault of ours."""
    try:
        return act(*arguments)
    except Exception as error:
        note_fault(client, "capturing a call", error)
        return None


def arguments_of(spec: Spec, args: Any, kwargs: dict[str, Any], skip: int) -> Any:
    """The arguments as they are now: (args, kwargs) snapshots, or what the user's picker gives."""
    picker = spec.inputs
    try:
        if picker is True:
            packed = tuple(map(snapshot, args))
            if kwargs:
                return packed, {name: snapshot(value) for name, value in kwargs.items()}
            return packed, None
        if picker is False:
            return None
        assert callable(picker)
        return snapshot(picker(spec.names.bind(args, kwargs, skip)))
    except Exception as error:
        note_fault(spec.client, "recording arguments", error)
        return None


def prepare(spec: Spec, args: Any, kwargs: dict[str, Any], skip: int) -> Call | None:
    """A call with its snapshot and its data ID, not begun yet; None when a fault of ours stops it."""
    return place(spec, arguments_of(spec, args, kwargs, skip), skip)


def place(spec: Spec, arguments: Any, skip: int) -> Call | None:
    """A call with these arguments, and its data ID, in the trail that is open here; or None."""
    client = spec.client
    try:
        if client is None:
            client = default_client()
        active = get_active()
        if active is ASIDE[0] and is_collecting():
            if COLLECTED_ANYWHERE:
                return None  # the context must not be changed now
            active = None
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
        user = None if trail._user is None else quietly(client, getattr, trail, "user")
        session = None if trail._session is None else quietly(client, getattr, trail, "session")
        data_id = trail.take() if outermost else new_id()
        root_id = data_id if parent is None else getattr(parent, "root_id", None)
        call = Call(
            spec, client, trail, parent, active, skip, data_id, root_id, outermost,
            arguments, user, session,
        )  # fmt: skip
        if spec.project is not None:
            _note_project(call, spec.project)
        return call
    except Exception as error:
        note_fault(client, "beginning a generation", error)
        return None


def sibling(call: Call) -> Call:
    """A call like this one, not begun: what it returned is iterated once more."""
    data_id = call.trail.take() if call.outermost else new_id()
    root_id = data_id if call.parent is None else call.root_id
    twin = Call(
        call.spec, call.client, call.trail, call.parent, None, call.skip, data_id, root_id,
        call.outermost, call.arguments, call.user, call.session,
    )  # fmt: skip
    if call.spec.project is not None:
        _note_project(twin, call.spec.project)
    return twin


def _note_project(call: Call, project: str) -> None:
    if project != call.client.project:
        call.client.desk.note_place(call.data_id, project)
        call.trail.ticket = None  # the token made ahead names another project


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
        elif is_cancellation(error):
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
        record = record_of(call)
        sample = call.spec.sample
        if sample is not None and not _sampled(sample):
            _keep_no_payload(record)
        record.size_bytes = _size_bytes(record)
        client = call.client
        if client.is_strict:
            call.waiter = client.recorder.put_durably(record)
        else:
            client.recorder.put(record)
    except Exception as error:
        call.client.faults.note("recording a generation", error)


def add_chunk(call: Call, chunk: Any) -> Any:
    """Keep one chunk of a stream as it is now, and give it back."""
    try:
        if call.done:
            return chunk
        chunks: Any = call.chunks if call.chunks is not None else _first_chunk(call, chunk)
        if call.room < 0:
            return chunk
        if type(chunks) is not list:
            chunks.append(chunk)
            call.room = chunks.left_bytes
            return chunk
        if type(chunk) is not str:
            kept = snapshot(chunk)
            call.room -= size_bytes(kept)
        else:
            kept = chunk
            call.room -= len(chunk) + 8
        if call.room < 0 or len(chunks) > _MAX_CHUNKS:
            call.room = OVERFULL
        else:
            chunks.append(kept)
    except Exception as error:
        call.room = OVERFULL
        note_fault(call.client, "recording a chunk", error)
    return chunk


def _first_chunk(call: Call, chunk: Any) -> Any:
    """Where the chunks of this stream are gathered."""
    call.first_ns = _clock_ns()
    call.room = UNWANTED if call.spec.output is False else MAX_BYTES
    gathered = None if type(chunk) is str or _gather is None else _gather(chunk)
    call.chunks = [] if gathered is None else gathered
    return call.chunks


def _size_bytes(record: Record) -> int:
    """Roughly what a call's snapshots hold; exact enough to bound the buffer."""
    arguments = record.arguments
    if type(arguments) is tuple:
        held = arguments[0] if arguments[1] is None else (*arguments[0], *arguments[1].values())
    else:
        held = (arguments,)
    if record.notes is not None:
        held = (*held, *record.notes.values())
    size = CALL_BYTES
    for value in (*held, record.output):
        kind = type(value)
        if kind is str:
            size += len(value)
        elif kind is Packed:
            size += len(value.data) + 100
    if record.chunks is not None and record.room >= 0:
        size += MAX_BYTES - record.room
    return size


def _keep_no_payload(record: Record) -> None:
    record.shed()
    notes = record.notes or {}
    record.notes = {**notes, "metadata": {**notes.get("metadata", {}), "sampled_out": True}}


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


def is_cancellation(error: BaseException) -> bool:
    """Whether this is how a task is told to stop."""
    trio = sys.modules.get("trio")
    return isinstance(error, asyncio.CancelledError) or (
        trio is not None and isinstance(error, trio.Cancelled)
    )


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
