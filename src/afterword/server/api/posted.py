"""From what was posted to rows: one look at the whole body, and closer ones where needed (layer 5)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from afterword.codec import clean, to_json
from afterword.errors import InvalidInput
from afterword.model import to_microseconds
from afterword.redaction import Redactor
from afterword.server.api.shapes import PostedError, PostedGeneration
from afterword.stores.rows import GenerationRow

__all__ = ["Reader"]

#: How deep a posted value may be nested.
MAX_DEPTH = 64
_NOT_BRACKETS = bytes(code for code in range(256) if chr(code) not in "[]{}")


class Reader:
    """Turns what one request posted into rows; `text` is the whole body."""

    def __init__(self, text: str, redactor: Redactor, *, project: str | None, now: int) -> None:
        self._redactor = redactor
        self._project = project
        self._now = now
        self._has_nul = "\\" in text and "\\u0000" in text

    def row(self, given: PostedGeneration, index: int) -> GenerationRow:
        """The row of one posted generation.

        Raises:
            InvalidInput: a value is too deep, or not of the kind its field holds.
        """
        error, usage, status, created_at = given.error, given.usage, given.status, given.created_at
        if status is None:
            status = "ok" if error is None else "error"
        root_id = given.root_id
        if root_id is None and given.parent_id is None:
            root_id = given.id
        row = GenerationRow(
            id=given.id,
            project=self._project or given.project or "default",
            name=given.name,
            version=given.version,
            parent_id=given.parent_id,
            root_id=root_id,
            session=given.session,
            user=given.user,
            status=status,
            created_at=self._now + index if created_at is None else _microseconds(created_at),
            duration_ms=given.duration_ms,
            first_token_ms=given.first_token_ms,
            inputs=self._value(given.inputs, index, "inputs"),
            messages=self._value(given.messages, index, "messages"),
            output=self._value(given.output, index, "output"),
            error=None if error is None else self._error(error),
            model=given.model,
            provider=given.provider,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cost_usd=given.cost_usd,
            tags=self._tags(given.tags) if given.tags else None,
            metadata=self._value(given.metadata, index, "metadata"),
            trace_id=given.trace_id,
            span_id=given.span_id,
        )
        if row.metadata is not None and row.metadata[0] != "{":
            raise _misfit(index, "metadata", "must be an object")
        if row.messages is not None and row.messages[0] != "[":
            raise _misfit(index, "messages", "must be a list")
        if self._has_nul:
            for name in ("name", "version", "session", "user", "model", "provider", "trace_id"):
                text = getattr(row, name)
                setattr(row, name, None if text is None else clean(text))
        return row

    def _value(self, raw: Raw | UnsetType, index: int, field: str) -> str | None:
        if raw is UNSET:
            return None
        text = str(cast("memoryview", raw), "utf-8")
        if text == "null":
            return None
        # One character is found much faster than two, so most texts cost only looks for one.
        if "$" in text and '"$' in text:
            may_stay = False  # our own marks of what JSON lacks, which this is not
        elif "\\" in text and "\\u" in text:
            may_stay = False  # could hide what redaction looks for
        else:
            may_stay = not self._redactor.may_change(text)
        if may_be_deep(text):
            check_depth(text, index, field)
        return text if may_stay else to_json(self._redactor.value(_loaded(text)))

    def _error(self, error: PostedError) -> str:
        redact = self._redactor.text
        return to_json({"type": redact(error.type), "message": redact(error.message)})

    def _tags(self, tags: list[str]) -> str:
        unique = list(dict.fromkeys(tags))
        return to_json(self._redactor.value(unique))


def may_be_deep(text: str) -> bool:
    """Whether JSON may be nested deeper than `MAX_DEPTH`. False is certain, and quick."""
    if len(text) <= 2 * MAX_DEPTH or text[0] == '"':
        return False
    brackets = text.encode().translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not shorter:
            return False
        if len(shorter) == len(brackets):
            return True  # brackets inside of texts, which a closer look tells apart
        brackets = shorter
    return True


def check_depth(text: str, index: int, field: str) -> None:
    """Refuse JSON that is nested deeper than `MAX_DEPTH`."""
    level: list[Any] = [_loaded(text)]
    for _ in range(MAX_DEPTH + 1):
        level = [
            item
            for value in level
            if type(value) in (dict, list)
            for item in (value.values() if type(value) is dict else value)
        ]
        if not level:
            return
    raise _misfit(index, field, f"must be nested at most {MAX_DEPTH} deep")


def _loaded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # a number too large for it
        return json.loads(text)


def _microseconds(moment: datetime | float) -> int:
    return to_microseconds(moment) if isinstance(moment, datetime) else int(moment * 1_000_000)


def _misfit(index: int, field: str, message: str) -> InvalidInput:
    place = f"generations[{index}].{field}"
    return InvalidInput(f"{place}: {message}", field=place)
