"""The feedback classes, one file each, found by the file's name (layer 1).

A class is a module with two functions:

``define(definition) -> FeedbackType``
    the definition, checked and completed; raises InvalidInput when it makes no sense.
``accept(definition, value) -> list[FeedbackValue]``
    the canonical values a given value stands for; one for most classes, one a label where the
    class keeps several labels side by side. Raises FeedbackRejected.

and a constant ``KEEPS_SEVERAL``: whether the label is part of the key of the current value.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Protocol, cast

from afterword.errors import InvalidInput
from afterword.model import FeedbackType, FeedbackValue

__all__ = ["FeedbackClass", "class_names", "feedback_class"]


class FeedbackClass(Protocol):
    """What a module of this folder provides."""

    KEEPS_SEVERAL: bool

    def define(self, definition: FeedbackType) -> FeedbackType: ...

    def accept(self, definition: FeedbackType, value: Any) -> list[FeedbackValue]: ...


_CLASSES: dict[str, FeedbackClass] = {
    found.name: cast("FeedbackClass", importlib.import_module(f"{__name__}.{found.name}"))
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name)
}


def class_names() -> tuple[str, ...]:
    """The names of all feedback classes."""
    return tuple(_CLASSES)


def feedback_class(name: str) -> FeedbackClass:
    """The class of that name.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return _CLASSES[name]
    except (KeyError, TypeError):
        known = ", ".join(_CLASSES)
        raise InvalidInput(
            f"unknown feedback class {name!r}; known: {known}", field="cls", allowed=class_names()
        ) from None
