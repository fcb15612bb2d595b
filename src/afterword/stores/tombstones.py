"""Tombstones: what was removed stays so, whatever of it arrives late (layer 2).

A tombstone is a document that holds a digest of a user who was erased, not the user, and the time
of the erasure. Rows made before that time are not written any more; what the user does later is.
The floor is the time before which retention has removed everything: nothing older is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from afterword.feedback.rows import FeedbackRow
from afterword.stores.rows import GenerationRow

KIND = "tombstone"
#: Kind, project and name of the document with the floor.
FLOOR = ("retention", "", "floor")
#: The project of a tombstone that counts in all of them.
EVERYWHERE = ""


AnyRow = TypeVar("AnyRow", GenerationRow, FeedbackRow)


def name_of(user: str) -> str:
    """The name of a user's tombstone."""
    return hashlib.sha256(b"afterword tombstone\0" + user.encode("utf-8", "replace")).hexdigest()


class Removals:
    """What was removed from a store, to tell which rows may still be written.

    `erased_at(project, name)` gives a tombstone's time in microseconds, or None; times are
    microseconds.
    """

    def __init__(
        self, floor: int | None, erased_at: Callable[[str, str], int | None] | None
    ) -> None:
        self._floor = floor
        self._erased_at = erased_at
        self._times: dict[tuple[str, str], int] = {}

    def admit(self, rows: Sequence[AnyRow]) -> Sequence[AnyRow]:
        """The rows that may be written."""
        if self._floor is None and self._erased_at is None:
            return rows
        return [row for row in rows if self.admits(row)]

    def admits(self, row: GenerationRow | FeedbackRow) -> bool:
        """Whether a row may be written."""
        # A statement may be about long ago, as generations from elsewhere are; what counts of it is
        # when it came.
        made_at = row.received_at if isinstance(row, FeedbackRow) else row.created_at
        if self._floor is not None and made_at < self._floor:
            return False
        if self._erased_at is None or row.user is None:
            return True
        key = (row.project, row.user)
        if key not in self._times:
            name = name_of(row.user)
            found = (self._erased_at(place, name) for place in (EVERYWHERE, row.project))
            self._times[key] = max((at for at in found if at is not None), default=-1)
        return made_at > self._times[key]
