"""select: one label of several, a newer one replaces it (layer 1)."""

from __future__ import annotations

from typing import Any

from afterword.errors import FeedbackRejected, InvalidInput, shown
from afterword.model import FeedbackType, FeedbackValue

KEEPS_SEVERAL = False

# Humanloop's SDKs and common thumb widgets send these for the two labels of a rating.
_GOOD = (True, 1, "up")
_BAD = (False, 0, -1, "down")


def define(definition: FeedbackType) -> FeedbackType:
    if not definition.labels:
        raise InvalidInput(f"feedback type {definition.name!r} needs labels", field="labels")
    return definition


def accept(definition: FeedbackType, value: Any) -> list[FeedbackValue]:
    names = [label.name for label in definition.labels]
    if definition.name == "rating" and {"good", "bad"} <= set(names):
        if isinstance(value, (bool, int, str)) and value not in names:
            value = "good" if value in _GOOD else "bad" if value in _BAD else value
    if isinstance(value, str) and value in names:
        return [value]
    raise FeedbackRejected(
        f"feedback type {definition.name!r} takes one of: {', '.join(names)}; got {shown(value)}",
        field="value",
        allowed=names,
    )
