"""text: free text, such as a comment or a correction (layer 1)."""

from __future__ import annotations

from typing import Any

from afterword.errors import FeedbackRejected, shown
from afterword.model import FeedbackType, FeedbackValue

KEEPS_SEVERAL = False


def define(definition: FeedbackType) -> FeedbackType:
    return definition


def accept(definition: FeedbackType, value: Any) -> list[FeedbackValue]:
    if isinstance(value, str) and value:
        return [value]
    raise FeedbackRejected(
        f"feedback type {definition.name!r} takes text; got {shown(value)}",
        field="value",
        allowed=("text",),
    )
