"""What is known of a call, and the row it becomes (layer 4).

A `Call` is filled on the caller's thread and leaves a `Record`; `row_of` runs on the recorder's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from afterword.capture.arguments import Names
from afterword.client import Client
from afterword.codec import clean, json_of, plain, to_json
from afterword.context import Active, Trail
from afterword.delivery.answers import Answer
from afterword.delivery.drafts import note_truncated, to_text
from afterword.redaction import Redactor
from afterword.snapshot import Packed, snapshot
from afterword.stores.rows import GenerationRow

#: What a call weighs in the buffer without its payloads.
CALL_BYTES = 600
#: Values of `Call.room` that say why no more chunks are kept.
UNWANTED, OVERFULL = -1, -2

#: Columns that notes hold as they are kept.
_NOTED = (
    "version", "model", "provider", "input_tokens", "output_tokens", "cost_usd",
)  # fmt: skip
_NAME_CHARS = 64


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

    def __reduce__(self) -> Any:
        # Of their own accord, things with slots do not pickle with the old protocols.
        return _spec, ({name: getattr(self, name) for name in self.__slots__},)


def _spec(values: dict[str, Any]) -> Spec:
    spec = Spec()
    for name, value in values.items():
        setattr(spec, name, value)
    return spec


class Call(msgspec.Struct, eq=False):
    """A call while it runs. The context points at it, and may do so long after its end."""

    spec: Spec
    client: Client
    trail: Trail
    parent: Active | None
    before: Active | None
    skip: int
    data_id: str
    root_id: str | None
    outermost: bool
    arguments: Any
    user: str | None
    session: str | None
    done: bool = False
    begun: bool = False
    streamed: bool = False
    status: str = "running"
    created_ns: int = 0
    started_ns: int = 0
    duration_ns: int = 0
    first_ns: int | None = None
    chunks: Any = None  # a list, or what a provider's chunks are gathered in
    room: int = 0
    output: Any = None
    error: tuple[str, str] | None = None
    notes: dict[str, Any] | None = None
    span: tuple[str, str] | None = None
    inside: Active | None = None  # where the body of a stream left the context
    place: int | None = None  # of the stream, in an output that is a tuple
    waiter: Answer[bool] | None = None

    def __repr__(self) -> str:
        return f"<generation {self.data_id}>"  # asyncio shows its tasks' callbacks, with arguments


class Record(msgspec.Struct, eq=False, gc=False):
    """What is kept of a call that has ended, until it is written.

    Apart from the call, so that this and its trail are gone with the request, and the garbage collector
    does not look at what waits.
    """

    spec: Spec
    client: Client
    skip: int
    data_id: str
    parent_id: str | None
    root_id: str | None
    arguments: Any
    user: str | None
    session: str | None
    status: str
    created_ns: int
    duration_ns: int
    first_token_ns: int | None
    chunks: Any
    room: int
    output: Any
    error: tuple[str, str] | None
    notes: dict[str, Any] | None
    span: tuple[str, str] | None
    place: int | None
    metadata: dict[str, Any] | None
    size_bytes: int = CALL_BYTES
    waiter: Answer[bool] | None = None

    def to_row(self) -> GenerationRow:
        """Encode and redact. Runs on the recorder's thread."""
        return row_of(self)

    def shed(self) -> None:
        self.arguments = None
        self.output = None
        self.chunks = None
        for name in ("messages", "output"):
            if self.notes is not None:
                self.notes.pop(name, None)
        self.size_bytes = CALL_BYTES


def record_of(call: Call) -> Record:
    """The record of a call that has ended."""
    parent, first_ns = call.parent, call.first_ns
    return Record(
        call.spec, call.client, call.skip, call.data_id,
        None if parent is None else parent.data_id, call.root_id, call.arguments, call.user, call.session,
        call.status, call.created_ns, call.duration_ns, None if first_ns is None else first_ns - call.started_ns,
        call.chunks, call.room, call.output, call.error, call.notes, call.span, call.place, call.trail.metadata,
    )  # fmt: skip


def row_of(record: Record) -> GenerationRow:
    spec = record.spec
    client = record.client
    redactor = client.redactor
    packed: dict[str, Any] = {}
    inputs = _inputs(record, packed, redactor)
    output = _output(record, packed)
    row = GenerationRow(
        id=record.data_id,
        project=spec.project or client.project,
        name=spec.name,
        version=spec.version,
        parent_id=record.parent_id,
        root_id=record.root_id,
        status=record.status,
        created_at=record.created_ns // 1000,
        duration_ms=record.duration_ns / 1e6,
        inputs=inputs,
        output=None if output is None else to_text(output, redactor),
        model=spec.model,
    )
    # From here on, what most calls have none of.
    if record.session is not None:
        row.session = clean(record.session)
    if record.user is not None:
        row.user = clean(record.user)
    if record.first_token_ns is not None:
        row.first_token_ms = record.first_token_ns / 1e6
    if record.span is not None:
        row.trace_id, row.span_id = record.span
    if record.error is not None:
        name, message = record.error
        row.error = to_json({"type": clean(name), "message": redactor.text(message)})
    if packed or spec.tags or spec.metadata or record.notes or record.metadata:
        _note(row, record, packed, redactor)
    return row


def _note(row: GenerationRow, record: Record, packed: dict[str, Any], redactor: Redactor) -> None:
    """Enter what the decorator, the trail and annotations say, and what of the payloads did not fit."""
    spec = record.spec
    notes = record.notes or {}
    for column in _NOTED:
        if column in notes:
            setattr(row, column, notes[column])
    if "messages" in notes:
        packed["messages"] = notes["messages"]
        row.messages = to_text(notes["messages"], redactor)
    tags = list(dict.fromkeys([*spec.tags, *notes.get("tags", ())]))
    if tags:
        row.tags = to_json(redactor.value(tags))
    said = {**(record.metadata or {}), **(spec.metadata or {}), **notes.get("metadata", {})}
    metadata = note_truncated(said, packed)
    if metadata:
        row.metadata = to_text(snapshot(metadata), redactor)


def _inputs(record: Record, packed: dict[str, Any], redactor: Redactor) -> str | None:
    """The arguments by name, as redacted JSON."""
    arguments = record.arguments
    if arguments is None:
        return None
    if record.spec.inputs is not True:
        packed["inputs"] = arguments
        return to_text(arguments, redactor)
    args, kwargs = arguments
    bound = record.spec.names.bind(args, kwargs or {}, record.skip)
    members: list[str] = []
    for name, value in bound.items():
        kind = type(value)
        if kind is Packed and value.truncated:
            packed["inputs"] = value
        if kind is list or name[:1] == "$":
            break
        members.append(_lead(name) + json_of(value))
    else:
        text = "{" + ",".join(members) + "}"
        if not redactor.may_change(text):
            return text
    values = {
        name: [plain(item) for item in value] if type(value) is list else plain(value)
        for name, value in bound.items()
    }
    return to_text(snapshot(values), redactor)


def _lead(name: str) -> str:
    """What stands before an argument's value. Names are few, and short where they are a function's own."""
    return _lead_once(name) if len(name) <= _NAME_CHARS else f"{to_json(name)}:"


@lru_cache(maxsize=4096)
def _lead_once(name: str) -> str:
    return f"{to_json(name)}:"


def _output(record: Record, packed: dict[str, Any]) -> Any:
    if record.notes is not None and "output" in record.notes:
        packed["output"] = record.notes["output"]
        return packed["output"]
    if record.chunks is None:
        if type(record.output) is Packed:
            packed["output"] = record.output
        return record.output
    if record.spec.output is False:
        return None
    joined = _joined(record.chunks)
    if record.room == OVERFULL:
        packed["output"] = Packed(b"", truncated=True)
    if record.place is not None:
        joined = [
            *plain(record.output)[: record.place],
            joined,
            *plain(record.output)[record.place + 1 :],
        ]
    picker = record.spec.output
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
