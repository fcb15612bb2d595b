"""Tombstones: users who were erased stay so, whatever of theirs arrives late (layer 2).

A tombstone is a document that holds a digest of the user, not the user, and the time of the
erasure. Rows made before that time are not written any more; what the user does later is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from afterword.feedback.rows import FeedbackRow
from afterword.stores.rows import GenerationRow

KIND = "tombstone"
#: The project of a tombstone that counts in all of them.
EVERYWHERE = ""


AnyRow = TypeVar("AnyRow", GenerationRow, FeedbackRow)


def name_of(user: str) -> str:
    """The name of a user's tombstone."""
    return hashlib.sha256(b"afterword tombstone\0" + user.encode("utf-8", "replace")).hexdigest()


def admitted(rows: Sequence[AnyRow], erased_at: Callable[[str, str], int | None]) -> list[AnyRow]:
    """The rows that may be written.

    `erased_at(project, name)` gives a tombstone's time in microseconds, or None.
    """
    times: dict[tuple[str, str], int] = {}
    kept: list[AnyRow] = []
    for row in rows:
        if row.user is None:
            kept.append(row)
            continue
        # A statement may be about long ago, as generations from elsewhere are; what counts of it is
        # when it came.
        made_at = row.received_at if isinstance(row, FeedbackRow) else row.created_at
        key = (row.project, row.user)
        if key not in times:
            name = name_of(row.user)
            found = (erased_at(place, name) for place in (EVERYWHERE, row.project))
            times[key] = max((at for at in found if at is not None), default=-1)
        if made_at > times[key]:
            kept.append(row)
    return kept
