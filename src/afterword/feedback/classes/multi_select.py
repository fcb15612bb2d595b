"""multi_select: any of several labels side by side, each with a life of its own (layer 1)."""

from __future__ import annotations

from typing import Any

from afterword.errors import FeedbackRejected, shown
from afterword.feedback.classes.select import define as define
from afterword.model import FeedbackType, FeedbackValue

KEEPS_SEVERAL = True


def accept(definition: FeedbackType, value: Any) -> list[FeedbackValue]:
    names = [label.name for label in definition.labels]
    given: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
    if given and all(isinstance(label, str) and label in names for label in given):
        return list(dict.fromkeys(given))
    raise FeedbackRejected(
        f"feedback type {definition.name!r} takes any of: {', '.join(names)}; got {shown(value)}",
        field="value",
        allowed=names,
    )
