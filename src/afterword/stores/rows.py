"""Generations as stores keep them, and how two records of one generation merge (layer 2).

Records of one generation may arrive in any order and any number of times. They merge into one row:
a finished record beats a running one, a running one beats the stub that feedback left, and of two
finished ones the first stays. Late annotations are kept apart in `patch`, each under a UUIDv7, so
that they win whenever they arrive, the later made over the earlier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from afterword.codec import from_json, to_json
from afterword.feedback.current import age, current
from afterword.feedback.rows import FeedbackRow, to_feedback
from afterword.model import (
    Generation,
    GenerationError,
    GenerationStatus,
    Usage,
    from_microseconds,
)


class GenerationRow(msgspec.Struct, kw_only=True, gc=False):
    """One generation as stored: JSON as text, times in microseconds since 1970."""

    id: str
    project: str
    name: str | None = None
    version: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    session: str | None = None
    user: str | None = None
    status: str = "ok"
    created_at: int
    duration_ms: float | None = None
    first_token_ms: float | None = None
    inputs: str | None = None
    messages: str | None = None
    output: str | None = None
    error: str | None = None
    model: str | None = None
    provider: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    tags: str | None = None
    metadata: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    patch: str | None = None


class Stored(list[FeedbackRow]):
    """What became of a write: its feedback as it is kept.

    `known` names, by project and ID, the generations that had ended in the store before.
    """

    known: set[tuple[str, str]]

    def __init__(self, feedback: Iterable[FeedbackRow], known: Iterable[tuple[str, str]]) -> None:
        super().__init__(feedback)
        self.known = set(known)


COLUMNS: tuple[str, ...] = GenerationRow.__struct_fields__

_RANK = {"waiting": 0, "running": 1}
_FINISHED = 2
_JSON = ("inputs", "messages", "output", "error")
#: Tags join, and the time is the server's own where a record names none.
_NOT_SAID = ("id", "project", "created_at", "root_id", "tags", "patch")
_KEPT_APART = ("metadata", "tags", "patch", "status", "id", "project", "created_at")


def merge(old: GenerationRow, new: GenerationRow) -> GenerationRow:
    """One row from two records of the same generation."""
    old_rank = _RANK.get(old.status, _FINISHED)
    new_rank = _RANK.get(new.status, _FINISHED)
    first, second = (new, old) if new_rank > old_rank else (old, new)
    merged = msgspec.structs.replace(first)
    for column in COLUMNS:
        if column not in _KEPT_APART and getattr(first, column) is None:
            setattr(merged, column, getattr(second, column))
    merged.metadata = _united(second.metadata, first.metadata)
    merged.tags = _united_tags(first.tags, second.tags)
    merged.patch = _united(old.patch, new.patch)
    return patched(merged)


def patched(row: GenerationRow) -> GenerationRow:
    """The row with its late annotations applied."""
    if row.patch is None:
        return row
    notes = cast("dict[str, dict[str, Any]]", from_json(row.patch))
    tags: list[str] = []
    for _, patch in sorted(notes.items()):
        for column in ("model", "provider", "version", "input_tokens", "output_tokens", "cost_usd"):
            if patch.get(column) is not None:
                setattr(row, column, patch[column])
        for column in ("output", "messages"):
            if column in patch:
                setattr(row, column, to_json(patch[column]))
        if "metadata" in patch:
            row.metadata = _united(row.metadata, to_json(patch["metadata"]))
        tags += patch.get("tags", ())
    if tags:
        # The call's own come first, whether or not they were there before the notes.
        own = [] if row.tags is None else from_json(row.tags)
        row.tags = to_json(list(dict.fromkeys([*(tag for tag in own if tag not in tags), *tags])))
    return row


def _united(under: str | None, over: str | None) -> str | None:
    if under is None or over is None or under == over:
        return under if over is None else over
    low, high = from_json(under), from_json(over)
    if not (isinstance(low, dict) and isinstance(high, dict)):
        return over
    return to_json({**cast("dict[str, Any]", low), **cast("dict[str, Any]", high)})


def _united_tags(first: str | None, second: str | None) -> str | None:
    if first is None or second is None or first == second:
        return second if first is None else first
    return to_json(list(dict.fromkeys([*from_json(first), *from_json(second)])))


def contradicts(kept: GenerationRow, given: GenerationRow) -> bool:
    """Whether a record says something else than the one that is kept under its ID.

    What it does not say, and what was annotated since, counts for nothing.
    """
    notes = {} if kept.patch is None else cast("dict[str, dict[str, Any]]", from_json(kept.patch))
    annotated = {column for note in notes.values() for column in note}
    for column in COLUMNS:
        old, new = getattr(kept, column), getattr(given, column)
        if column in _NOT_SAID or column in annotated or new is None or old == new:
            continue
        if column == "metadata":
            old, new = from_json(old or "{}"), from_json(_united(old, new) or "{}")
        elif column in _JSON and old is not None:
            old, new = from_json(old), from_json(new)
        if old != new:
            return True
    return False


def alone(rows: Sequence[FeedbackRow]) -> list[int]:
    """The places of those statements of a batch that set something and share their key with none."""
    keys = Counter((row.data_id, row.type, row.rater) for row in rows)
    return [
        index
        for index, row in enumerate(rows)
        if not row.unset and keys[row.data_id, row.type, row.rater] == 1
    ]


def settle(row: FeedbackRow, place: Sequence[str] | None) -> None:
    """Give a row whose project was only assumed that of its generation, if there is one.

    `place` is the project and the status of the generation.
    """
    if row.provisional and place is not None:
        row.project = place[0]
        row.provisional = place[1] == "waiting"


def waiting(row: FeedbackRow) -> GenerationRow:
    """The stub that stands for a generation until it arrives."""
    return GenerationRow(
        id=row.data_id, project=row.project, status="waiting", created_at=row.received_at
    )


def to_generation(row: GenerationRow, history: list[FeedbackRow]) -> Generation:
    """The record users see, with its feedback."""
    error = None if row.error is None else from_json(row.error)
    usage = None
    if row.input_tokens is not None or row.output_tokens is not None:
        usage = Usage(row.input_tokens, row.output_tokens)
    history = sorted(history, key=age)
    return Generation(
        id=row.id,
        project=row.project,
        name=row.name,
        version=row.version,
        parent_id=row.parent_id,
        root_id=row.root_id,
        session=row.session,
        user=row.user,
        status=cast("GenerationStatus", row.status),
        created_at=from_microseconds(row.created_at),
        duration_ms=row.duration_ms,
        first_token_ms=row.first_token_ms,
        inputs=_loaded(row.inputs),
        messages=_loaded(row.messages),
        output=_loaded(row.output),
        error=None if error is None else GenerationError(error["type"], error["message"]),
        model=row.model,
        provider=row.provider,
        usage=usage,
        cost_usd=row.cost_usd,
        tags=_loaded(row.tags) or [],
        metadata=_loaded(row.metadata),
        trace_id=row.trace_id,
        span_id=row.span_id,
        feedback=[to_feedback(found) for found in current(history)],
        feedback_history=[to_feedback(found) for found in history],
    )


def _loaded(text: str | None) -> Any:
    return None if text is None else from_json(text)
