"""Values as exports have them: anything may be missing, and CSV makes text of numbers (layer 5)."""

from __future__ import annotations

from typing import Any, cast

__all__ = ["mapping", "number", "text", "whole_number"]


def text(value: Any) -> str | None:
    """The value as text; None when it is empty."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else str(value)


def number(value: Any) -> float | None:
    """The value as a number, or None."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if 0 <= found < 1e15 else None


def whole_number(value: Any) -> int | None:
    """The value as a whole number, or None."""
    found = number(value)
    return None if found is None else int(found)


def mapping(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
