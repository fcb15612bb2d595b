"""Feedback on its way, and how its giver hears of it (layer 2)."""

from __future__ import annotations

from collections.abc import Sequence

from afterword.delivery.answers import Answer
from afterword.errors import DeliveryError
from afterword.feedback.rows import FeedbackRow


class Kept(list[FeedbackRow]):
    """The statements as they were kept; `pending` says that they are on this disk only, so far."""

    pending = False


class Request:
    """Statements that are kept together or not at all, and the one answer their giver gets."""

    __slots__ = ("given", "rows", "since_s")

    def __init__(self, rows: list[FeedbackRow], since_s: float) -> None:
        self.rows = rows
        #: Of several threads that answer, the first one counts.
        self.given: Answer[Kept] = Answer()
        self.since_s = since_s

    @property
    def is_answered(self) -> bool:
        return self.given.is_there

    def answer(self, rows: Sequence[FeedbackRow], *, pending: bool = False) -> None:
        kept = Kept(rows)
        kept.pending = pending
        self.given.tell(kept)

    def fail(self, cause: BaseException) -> None:
        error = DeliveryError(f"the feedback was not recorded: {cause}")
        error.__cause__ = cause
        self.given.fail(error)


def answer_all(requests: Sequence[Request], kept: Sequence[FeedbackRow]) -> None:
    """Give each request its own of the rows that one write kept."""
    start = 0
    for request in requests:
        request.answer(kept[start : start + len(request.rows)])
        start += len(request.rows)
