"""number: a number within bounds, on a step (layer 1)."""

from __future__ import annotations

import math
import sys
from typing import Any

from afterword.errors import FeedbackRejected, InvalidInput, shown
from afterword.model import FeedbackType, FeedbackValue

KEEPS_SEVERAL = False

_TOLERANCE = 1e-9
_LARGEST = sys.float_info.max
#: Below it 3 and 3.0 are the same number in every language, so they are kept as one.
_EXACT = 2**53


def define(definition: FeedbackType) -> FeedbackType:
    low, high, step = definition.minimum, definition.maximum, definition.step
    for field, bound in (("minimum", low), ("maximum", high), ("step", step)):
        if bound is not None and not _is_number(bound):
            raise InvalidInput(f"{field} must be a finite number", field=field)
    if low is not None and high is not None and low > high:
        raise InvalidInput("minimum must not be above maximum", field="minimum")
    if step is not None and step <= 0:
        raise InvalidInput("step must be above 0", field="step")
    return definition


def accept(definition: FeedbackType, value: Any) -> list[FeedbackValue]:
    low, high, step = definition.minimum, definition.maximum, definition.step
    if (
        _is_number(value)
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (step is None or _on_step(value - (low or 0), step))
    ):
        return [int(value) if abs(value) < _EXACT and value == int(value) else value]
    wanted = "a number"
    if low is not None or high is not None:
        wanted += (
            f" from {'-∞' if low is None else f'{low:g}'} to {'∞' if high is None else f'{high:g}'}"
        )
    if step is not None:
        wanted += f" in steps of {step:g}"
    raise FeedbackRejected(
        f"feedback type {definition.name!r} takes {wanted}; got {shown(value)}",
        field="value",
        allowed=(wanted,),
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_LARGEST <= value <= _LARGEST


def _on_step(distance: float, step: float) -> bool:
    steps = distance / step
    return math.isfinite(steps) and abs(steps - round(steps)) < _TOLERANCE
