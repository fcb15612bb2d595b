"""From captured values to a row: read back, redact, write as JSON (layer 2).

The one choke point: whatever a store or spool gets to see has passed through here, on the
recorder's thread.
"""

from __future__ import annotations

from typing import Any

from afterword.codec import clean, json_of, plain, to_json
from afterword.delivery.answers import Answer
from afterword.redaction import Redactor
from afterword.snapshot import Packed, size_bytes
from afterword.stores.rows import GenerationRow

_TEXT = ("name", "version", "session", "user", "model", "provider", "trace_id", "span_id")

#: What a record weighs in the buffer without its payloads.
_BARE_BYTES = 400


def to_text(snapshot: Any, redactor: Redactor) -> str:
    """A snapshot as redacted JSON."""
    if type(snapshot) is str:
        return json_of(redactor.text(snapshot))
    text = json_of(snapshot)
    if redactor.may_change(text):
        return to_json(redactor.value(plain(snapshot)))
    return text


def note_truncated(
    metadata: dict[str, Any] | None, fields: dict[str, Any]
) -> dict[str, Any] | None:
    """The metadata, with the names of the fields whose snapshot did not fit the budget."""
    cut = [name for name, value in fields.items() if type(value) is Packed and value.truncated]
    return metadata if not cut else {**(metadata or {}), "truncated": cut}


class Draft:
    """A record written by hand, waiting to be encoded. `columns` are those of a GenerationRow."""

    __slots__ = ("columns", "redactor", "size_bytes", "values", "waiter")

    def __init__(self, columns: dict[str, Any], values: dict[str, Any], redactor: Redactor) -> None:
        self.columns = columns
        self.values = values
        self.redactor = redactor
        self.waiter: Answer[bool] | None = None
        self.size_bytes = _BARE_BYTES + sum(map(size_bytes, values.values()))

    def to_row(self) -> GenerationRow:
        columns = self.columns
        for name in _TEXT:
            if columns.get(name) is not None:
                columns[name] = clean(columns[name])
        for name, value in self.values.items():
            columns[name] = to_text(value, self.redactor)
        if "error" in self.values:
            error = plain(self.values["error"])
            # By field, since a rule that takes everything out must leave a reader its keys.
            redacted = {name: self.redactor.text(error[name]) for name in ("type", "message")}
            columns["error"] = to_json(redacted)
        cut = note_truncated(None, self.values)
        if cut is not None:
            metadata = plain(self.values["metadata"]) if "metadata" in self.values else {}
            columns["metadata"] = to_json(self.redactor.value({**metadata, **cut}))
        return GenerationRow(**columns)

    def shed(self) -> None:
        self.values = {}
        self.size_bytes = _BARE_BYTES
