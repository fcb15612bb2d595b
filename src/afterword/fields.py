"""What objects hold, read past every hook of theirs (layer 0).

Nothing of the object or of its class runs: names come from the class's dict, values from the
instance's dict or its slots.
"""

from __future__ import annotations

import enum
import sys
from typing import Any

import msgspec


def name_of(kind: type) -> str:
    """``<module.Type>``, found without asking the type's own type."""
    return f"<{_MODULE.__get__(kind)}.{_QUALNAME.__get__(kind)}>"


_MODULE: Any = type.__dict__["__module__"]
_QUALNAME: Any = type.__dict__["__qualname__"]
_MRO: Any = type.__dict__["__mro__"]
_DICT: Any = type.__dict__["__dict__"]


def fields_of(kind: type, value: Any) -> dict[str, Any] | None:
    """The stored fields of a record class, read past any hook of its own; None for other objects.

    Only classes that declare their fields are opened: dataclasses, attrs, msgspec structs and
    pydantic models. Values come from the instance dict or the slots, so no property runs.
    """
    if issubclass(kind, enum.Enum):
        return {name: object.__getattribute__(value, f"_{name}_") for name in ("name", "value")}
    names = _declared(kind)
    if names is None:
        return None
    try:
        stored = object.__getattribute__(value, "__dict__")
    except AttributeError:
        stored = {}
    out: dict[str, Any] = {}
    for name in names:
        if name in stored:
            out[name] = stored[name]
            continue
        slot = class_attribute(kind, name)
        if type(slot) is _SLOT:
            try:
                out[name] = slot.__get__(value, kind)
            except AttributeError:
                continue
    return out


def _declared(kind: type) -> tuple[str, ...] | None:
    """The names of the fields that a class declares, or None."""
    declared: Any = None
    if issubclass(kind, msgspec.Struct):
        declared = kind.__struct_fields__
    for marker in ("__dataclass_fields__", "__pydantic_fields__"):
        if declared is None:
            declared = class_attribute(kind, marker)
    if declared is None:
        attributes = class_attribute(kind, "__attrs_attrs__")
        if issubclass(type(attributes), tuple):
            declared = tuple([getattr(attribute, "name", None) for attribute in attributes])
    if declared is None or not issubclass(type(declared), (dict, tuple)):
        return None
    names = tuple(declared)
    return names if all(type(name) is str for name in names) else None


class _Slotted:
    __slots__ = ("slot",)


_SLOT = type(_Slotted.__dict__["slot"])


def class_attribute(kind: type, name: str) -> Any:
    for owner in _MRO.__get__(kind):
        found = _DICT.__get__(owner).get(name)
        if found is not None:
            return found
    return None


def array_of(kind: type, value: Any) -> dict[str, Any] | None:
    """Shape and type of a numpy array, and its values when they are few; None for other objects."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if issubclass(kind, numpy.generic):
        return {"numpy": str(value.dtype), "value": _plain_scalar(value.item())}
    if kind is not numpy.ndarray:
        return None
    out: dict[str, Any] = {"numpy": str(value.dtype), "shape": list(value.shape)}
    if value.size <= 256 and value.dtype.kind in "biuf":
        out["values"] = value.tolist()
    return out


def _plain_scalar(value: Any) -> Any:
    return value if type(value) in (bool, int, float, str) else f"<{type(value).__name__}>"
