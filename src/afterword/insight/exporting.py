"""What is exported: generations, feedback, and corrections, as flat records (layer 5).

A store is walked page by page, so that a file of any length takes the memory of one page, and no
read is held open while others write. Field names are those of the HTTP API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from afterword.codec import to_json
from afterword.errors import InvalidInput
from afterword.feedback.current import age, current
from afterword.feedback.rows import FeedbackRow
from afterword.insight.exporters import exporter
from afterword.model import from_microseconds
from afterword.stores.protocol import Query, Store
from afterword.stores.rows import GenerationRow

__all__ = ["KINDS", "export", "records"]

PAGE_ROWS = 500

_CORRECTION = "correction"

Record = Mapping[str, Any]


class Kind(NamedTuple):
    """One kind of export: its fields, and the records of one generation and what was said of it."""

    columns: tuple[str, ...]
    records: Callable[[GenerationRow, list[FeedbackRow]], Iterable[Record]]


def export(
    store: Store, kind: str, form: str, wanted: Query, *, history: bool = False
) -> Iterator[bytes]:
    """The file of one kind of export in one format, piece by piece.

    Raises:
        InvalidInput: there is no such kind or format, or `history` does not fit the kind.
    """
    made = exporter(form)
    return made.write(_kind(kind).columns, records(store, kind, wanted, history=history))


def records(store: Store, kind: str, wanted: Query, *, history: bool = False) -> Iterator[Record]:
    """The records of the generations that a query finds, project by project, newest first.

    The query's `limit` and `after` count for nothing. With `history`, feedback is every statement,
    not the current ones alone. What is written meanwhile may be among it.

    Raises:
        InvalidInput: there is no such kind, or `history` does not fit it.
    """
    found = _kind(kind)
    if history and kind != "feedback":
        raise InvalidInput("history is for feedback only", field="history")
    if kind == "corrections":
        feedback = {_CORRECTION: None, **wanted.feedback}
        wanted = msgspec.structs.replace(wanted, feedback=feedback)
    return _walk(store, found, wanted, history=history)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise InvalidInput(
            f"kind must be one of: {', '.join(KINDS)}", field="kind", allowed=tuple(KINDS)
        )
    return KINDS[name]


def _walk(store: Store, kind: Kind, wanted: Query, *, history: bool) -> Iterator[Record]:
    # An ID from outside may stand in several projects; within one, a page's last row is one row.
    for project in store.projects() if wanted.project is None else [wanted.project]:
        own = msgspec.structs.replace(wanted, project=project, limit=PAGE_ROWS, after=None)
        rows = store.generations(own)
        while rows:
            said: dict[str, list[FeedbackRow]] = {}
            for statement in store.history([row.id for row in rows], project):
                said.setdefault(statement.data_id, []).append(statement)
            for row in rows:
                about = said.get(row.id, [])
                yield from kind.records(row, sorted(about, key=age) if history else current(about))
            if len(rows) < PAGE_ROWS:
                break
            last = (rows[-1].created_at, rows[-1].id, project)
            rows = store.generations(msgspec.structs.replace(own, after=last))


def _generations(row: GenerationRow, said: list[FeedbackRow]) -> Iterator[Record]:
    usage = None
    if row.input_tokens is not None or row.output_tokens is not None:
        usage = {"input_tokens": row.input_tokens, "output_tokens": row.output_tokens}
    record = {column: getattr(row, column, None) for column in _GENERATION}
    record.update({column: _json(record[column]) for column in _GENERATION_JSON})
    record["created_at"] = _time(row.created_at)
    record["usage"] = _json(None if usage is None else to_json(usage))
    record["tags"] = _json(row.tags or "[]")
    record["feedback"] = Raw(msgspec.json.encode(list(_feedback(row, said))))
    yield record


def _feedback(row: GenerationRow, said: list[FeedbackRow]) -> Iterator[Record]:
    for statement in said:
        record = {column: getattr(statement, column) for column in _STATEMENT}
        record.update(
            {column: _json(record[column]) for column in ("value", "comment", "metadata")}
        )
        record["created_at"] = _time(statement.created_at)
        record["received_at"] = _time(statement.received_at)
        yield record


def _corrections(row: GenerationRow, said: list[FeedbackRow]) -> Iterator[Record]:
    for statement in said:
        if statement.type == _CORRECTION:
            yield {
                "data_id": row.id,
                "project": row.project,
                "name": row.name,
                "version": row.version,
                "model": row.model,
                "inputs": _json(row.inputs),
                "messages": _json(row.messages),
                "output": _json(row.output),
                "correction": _json(statement.value),
                "comment": _json(statement.comment),
                "user": statement.user,
                "source": statement.source,
                "corrected_at": _time(statement.created_at),
            }


def _json(text: str | None) -> Raw | None:
    """JSON on one line: what was posted may have come with line ends."""
    if text is None:
        return None
    data = text.encode("utf-8", "backslashreplace")
    try:
        return Raw(msgspec.json.format(data, indent=-1))
    except msgspec.DecodeError:
        # The escape of half a character, such as Python can hold. Line ends in JSON are blanks.
        return Raw(data.replace(b"\n", b" ").replace(b"\r", b" "))


def _time(microseconds: int) -> str:
    return from_microseconds(microseconds).isoformat().replace("+00:00", "Z")


_GENERATION_JSON = ("inputs", "messages", "output", "error", "metadata")
_GENERATION = (
    "id", "project", "name", "version", "parent_id", "root_id", "session", "user", "status",
    "created_at", "duration_ms", "first_token_ms", "inputs", "messages", "output", "error", "model",
    "provider", "usage", "cost_usd", "tags", "metadata", "trace_id", "span_id", "feedback",
)  # fmt: skip
_STATEMENT = (
    "id", "project", "data_id", "type", "value", "sentiment", "signal", "user", "subject", "source",
    "comment", "metadata", "created_at", "received_at", "unset",
)  # fmt: skip
_PAIR = (
    "data_id", "project", "name", "version", "model", "inputs", "messages", "output", "correction",
    "comment", "user", "source", "corrected_at",
)  # fmt: skip

#: The kinds of exports by name.
KINDS: Mapping[str, Kind] = {
    "generations": Kind(_GENERATION, _generations),
    "feedback": Kind(_STATEMENT, _feedback),
    "corrections": Kind(_PAIR, _corrections),
}
