"""Feedback as stores keep it: one row a statement, JSON as text, times in microseconds (layer 1)."""

from __future__ import annotations

from typing import Any

import msgspec

from afterword.codec import from_json
from afterword.model import Feedback, from_microseconds


class FeedbackRow(msgspec.Struct, kw_only=True, gc=False):
    """One statement as stored.

    `rater` is who said it: the user, else the anonymous subject, else the empty text. `label` is
    part of the key for classes that keep several labels. The project of `provisional` rows is
    only assumed: a store replaces it by that of the generation, now or when the generation comes.
    """

    id: str
    project: str
    data_id: str
    type: str
    label: str
    several: bool
    value: str | None
    sentiment: str | None
    signal: str
    user: str | None
    subject: str | None
    rater: str
    source: str
    comment: str | None
    metadata: str | None
    created_at: int
    received_at: int
    unset: bool
    provisional: bool = False


COLUMNS: tuple[str, ...] = FeedbackRow.__struct_fields__


def to_feedback(row: FeedbackRow) -> Feedback:
    """The record users see."""
    fields: dict[str, Any] = {
        "id": row.id,
        "project": row.project,
        "data_id": row.data_id,
        "type": row.type,
        "value": None if row.value is None else from_json(row.value),
        "sentiment": row.sentiment,
        "signal": row.signal,
        "user": row.user,
        "subject": row.subject,
        "source": row.source,
        "comment": None if row.comment is None else from_json(row.comment),
        "metadata": None if row.metadata is None else from_json(row.metadata),
        "created_at": from_microseconds(row.created_at),
        "received_at": from_microseconds(row.received_at),
        "unset": row.unset,
    }
    return Feedback(**fields)
