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

from afterword.capture.arguments import Names
from afterword.client import Client, default_client
from afterword.codec import clean, plain, to_json
from afterword.context import (
    Active,
    Trail,
    enlist,
    get_active,
    implicit_trail,
    is_outermost,
    live_trail,
    running,
)
from afterword.delivery.drafts import note_truncated, to_text
from afterword.delivery.faults import Faults
from afterword.ids import new_id
from afterword.snapshot import MAX_BYTES, Packed, size_bytes, snapshot
from afterword.stores.rows import GenerationRow

_CALL_BYTES = 600
_MAX_CHUNKS = 100_000

#: Faults met before there is a client to count them.
_homeless = Faults()

#: Streams begun and not over, so that interpreter exit does not lose them.
OPEN: dict[int, Call] = {}

#: Gives a stream that begins with this chunk the place where its chunks are gathered, or None.
_gather: Callable[[Any], Any] | None = None

_now_ns = time.time_ns
_clock_ns = time.perf_counter_ns


class Spec:
    """What a decorator was told, and what it found out about its function."""

    __slots__ = (
        "client", "inputs", "metadata", "model", "name", "names", "output", "project", "sample",
        "tags", "version",
    )  # fmt: skip

    client: Client | None
    inputs: bool | Callable[[dict[str, Any]], Any]
    output: bool | Callable[[Any], Any]
    metadata: dict[str, Any] | None
    model: str | None
    name: str
    names: Names
    project: str | None
    sample: float | Callable[[], bool] | None
    tags: tuple[str, ...]
    version: str | None


class Call(Active):
    """A call being recorded. It is also what the context points at while it runs."""

    __slots__ = (
        "arguments", "before", "begun", "chunks", "client", "created_ns", "duration_ns", "error",
        "first_ns", "loop", "notes", "output", "room", "root_id", "size_bytes", "skip", "span", "spec",
        "started_ns", "status", "streamed",
    )  # fmt: skip

    data_id: str
    arguments: Any
    before: Active | None
    begun: bool
    chunks: list[Any] | None
    client: Client
    created_ns: int
    duration_ns: int
    error: tuple[str, str] | None
    first_ns: int | None
    loop: asyncio.AbstractEventLoop | None
    notes: dict[str, Any] | None
    output: Any
    room: int
    root_id: str | None
    size_bytes: int
    skip: int
    span: tuple[str, str] | None
    spec: Spec
    started_ns: int
    status: str
    streamed: bool

    def to_row(self) -> GenerationRow:
        """Encode and redact. Runs on the recorder's thread."""
        return _row(self)

    def shed(self) -> None:
        self.arguments = None
        self.output = None
        self.chunks = None
        for name in ("messages", "output"):
            if self.notes is not None:
                self.notes.pop(name, None)
        self.size_bytes = _CALL_BYTES


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
        call = Call()
        call.spec = spec
        call.client = client
        call.trail = trail
        call.done = False
        call.parent = parent
        call.data_id = trail.take() if is_outermost(call) else new_id()
        call.root_id = call.data_id if parent is None else getattr(parent, "root_id", None)
        call.skip = skip
        call.notes = call.chunks = call.error = call.output = call.first_ns = call.span = None
        call.before = active
        call.streamed = call.begun = False
        call.arguments = _arguments(spec, args, kwargs, skip)
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
    if is_outermost(call):
        enlist(call.trail, call.data_id)
    if call.streamed:
        OPEN[id(call)] = call
    if "opentelemetry.trace" in sys.modules:
        call.span = _span()
    call.created_ns = _now_ns()
    call.started_ns = _clock_ns()


def end_ok(call: Call, value: Any) -> None:
    """The call returned `value`."""
    try:
        output = call.spec.output
        if output is True:
            call.output = snapshot(value)
        elif output is not False:
            assert callable(output)
            call.output = snapshot(output(value))
        _end(call, "ok")
    except Exception as error:
        _fault(call, "recording an output", error)


def end_raised(call: Call, error: BaseException) -> None:
    """The call, or a step of its stream, raised."""
    try:
        if isinstance(error, GeneratorExit):
            _end(call, "abandoned")
            return
        if isinstance(error, asyncio.CancelledError) or _is_other_cancellation(error):
            gone = call.trail.client_gone
            _end(call, "abandoned" if gone and call.streamed else "cancelled")
            return
        call.error = _described(error)
        _end(call, "error")
    except Exception as fault:
        _fault(call, "recording an error", fault)


def end_stream(call: Call, status: str) -> None:
    """The call's stream came to its end in this way."""
    try:
        _end(call, status)
    except Exception as error:
        _fault(call, "recording a stream", error)


def add_chunk(call: Call, chunk: Any) -> None:
    """One chunk of a stream, kept as it is now."""
    try:
        chunks = call.chunks
        if chunks is None:
            call.first_ns = _clock_ns()
            gathered = None if type(chunk) is str or _gather is None else _gather(chunk)
            call.chunks = chunks = [] if gathered is None else gathered
            call.room = MAX_BYTES
            if call.spec.output is False:
                call.room = -1
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
            call.room = -2
            return
        chunks.append(chunk)
    except Exception as error:
        _fault(call, "recording a chunk", error)


def _end(call: Call, status: str) -> None:
    if call.done:
        return
    call.done = True
    if call.streamed:
        OPEN.pop(id(call), None)
    call.status = status
    call.duration_ns = _clock_ns() - call.started_ns
    sample = call.spec.sample
    if sample is not None and not _sampled(sample):
        call.shed()
        call.notes = {**(call.notes or {})}
        call.notes["metadata"] = {**call.notes.get("metadata", {}), "sampled_out": True}
    call.size_bytes = _size_bytes(call)
    call.before = None
    call.client.recorder.put(call)


def _size_bytes(call: Call) -> int:
    """Roughly what the call's snapshots hold; exact enough to bound the buffer."""
    size = _CALL_BYTES
    arguments = call.arguments
    if type(arguments) is tuple:
        values = arguments[0]
        if arguments[1] is not None:
            values = (*values, *arguments[1].values())
    else:
        values = (arguments,)
    noted = () if call.notes is None else call.notes.values()
    for value in (*values, call.output, *noted):
        kind = type(value)
        if kind is str:
            size += len(value)
        elif kind is Packed:
            size += len(value.data) + 100
    if call.chunks is not None and call.room >= 0:
        size += MAX_BYTES - call.room
    return size


def _sampled(sample: float | Callable[[], bool]) -> bool:
    if callable(sample):
        return bool(sample())
    return random.random() < sample  # noqa: S311 - a share of calls, not a secret


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
    except Exception:  # noqa: S110 - half-imported or foreign; a span is a nicety
        pass
    return None


def end_all_streams() -> None:
    """Record what open streams have given so far. Runs at interpreter exit."""
    for call in list(OPEN.values()):
        end_stream(call, "abandoned")


def _fault(call: Call, kind: str, error: BaseException) -> None:
    call.client.faults.note(kind, error)
    if not call.done:
        call.done = True
    elif kind != "recording a chunk":
        return


def _row(call: Call) -> GenerationRow:
    spec = call.spec
    redactor = call.client.redactor
    trail = call.trail
    notes = call.notes or {}
    packed: dict[str, Any] = {}
    inputs = _inputs(call, packed)
    output = _output(call, packed, notes)
    metadata = {**(trail.metadata or {}), **(spec.metadata or {}), **notes.get("metadata", {})}
    metadata = note_truncated(metadata, packed) or {}
    tags = list(dict.fromkeys([*spec.tags, *notes.get("tags", ())]))
    error = None
    if call.error is not None:
        name, message = call.error
        error = to_json({"type": clean(name), "message": redactor.text(message)})
    user, session = trail.user, trail.session
    span = call.span
    return GenerationRow(
        id=call.data_id,
        project=spec.project or call.client.project,
        name=spec.name,
        version=notes.get("version", spec.version),
        parent_id=None if call.parent is None else call.parent.data_id,
        root_id=call.root_id,
        session=None if session is None else clean(session),
        user=None if user is None else clean(user),
        status=call.status,
        created_at=call.created_ns // 1000,
        duration_ms=call.duration_ns / 1e6,
        first_token_ms=None if call.first_ns is None else (call.first_ns - call.started_ns) / 1e6,
        inputs=inputs if inputs is None else to_text(inputs, redactor),
        messages=to_text(notes["messages"], redactor) if "messages" in notes else None,
        output=output if output is None else to_text(output, redactor),
        error=error,
        model=notes.get("model", spec.model),
        provider=notes.get("provider"),
        input_tokens=notes.get("input_tokens"),
        output_tokens=notes.get("output_tokens"),
        cost_usd=notes.get("cost_usd"),
        tags=to_json(redactor.value(tags)) if tags else None,
        metadata=to_text(snapshot(metadata), redactor) if metadata else None,
        trace_id=None if span is None else span[0],
        span_id=None if span is None else span[1],
    )


def _inputs(call: Call, packed: dict[str, Any]) -> Any:
    arguments = call.arguments
    if arguments is None:
        return None
    if call.spec.inputs is not True:
        packed["inputs"] = arguments
        return arguments
    args, kwargs = arguments
    bound = call.spec.names.bind(args, kwargs or {}, call.skip)
    plain_values: dict[str, Any] = {}
    for name, value in bound.items():
        if type(value) is Packed and value.truncated:
            packed["inputs"] = value
        plain_values[name] = (
            [plain(item) for item in value] if type(value) is list else plain(value)
        )
    return plain_values


def _output(call: Call, packed: dict[str, Any], notes: dict[str, Any]) -> Any:
    if "output" in notes:
        packed["output"] = notes["output"]
        return notes["output"]
    if call.chunks is None:
        packed["output"] = call.output
        return call.output
    if call.spec.output is False:
        return None
    joined = _joined(call.chunks)
    if call.room == -2:
        packed["output"] = Packed(b"", None, True)
    picker = call.spec.output
    return snapshot(picker(joined)) if callable(picker) else joined


def _joined(chunks: Any) -> Any:
    if type(chunks) is not list:
        return chunks.joined()
    kinds = {type(chunk) for chunk in chunks}
    if kinds == {str}:
        return "".join(chunks)
    parts = [plain(chunk) for chunk in chunks]
    if {type(part) for part in parts} == {bytes}:
        return b"".join(parts)
    return parts


atexit.register(end_all_streams)
