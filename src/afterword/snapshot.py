"""What a value was when the call was made, at a bounded price for the caller (layer 0).

Small values of the built-in types are checked, copied and encoded by msgspec, in C. Everything else
is copied node by node within a budget of nodes, bytes, depth and time; what does not fit is replaced by a
note and the snapshot says it was truncated. Unknown objects become ``<module.Type>``: nothing of
theirs is called, iterated or awaited.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import sys
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

MAX_NODES = 10_000
MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_MS = 3.0

_SMALL = 1_024
_SMALL_DEPTH = 24
_CHECK_EVERY = 64
_CONTAINERS = frozenset((dict, list, tuple))
_LEAVES = frozenset((int, float, bool, type(None)))

_pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_convert = msgspec.convert


class Packed(msgspec.Struct, gc=False, eq=False):
    """A snapshot of something mutable: msgpack bytes, or the plain copy when those cannot hold it.

    `keys_are_text` is known of small values only; it makes writing them as JSON cheaper.
    """

    data: bytes
    keys_are_text: bool = False
    truncated: bool = False
    plain: Any = None


def _small_type() -> Any:
    """A type that only a small value of the built-in types fits, to have msgspec walk it in C.

    The product of the lengths bounds the walk of a graph whose parts are shared.
    """
    leaf = Annotated[str, Meta(max_length=65_536)] | int | float | bool | None
    kind: Any = leaf
    for length in reversed(_SMALL_LENGTHS):
        bound = Meta(max_length=length)
        kind = leaf | Annotated[list[kind], bound] | Annotated[dict[str, kind], bound]
    return kind


_SMALL_LENGTHS = (64, 16, 8, 8)


class _Small(msgspec.Struct, array_like=True, gc=False):
    value: _small_type()  # type: ignore[valid-type]  # built, because it nests


def snapshot(value: Any) -> Any:
    """`value` itself when it is short and cannot change, else a `Packed` copy. May not raise."""
    kind = type(value)
    if kind is str:
        if len(value) <= MAX_BYTES // 4:
            return value
    elif value is None or kind is bool or kind is float:
        return value
    elif kind is int:
        if -(1 << 63) <= value < 1 << 63:
            return value
    elif kind in _CONTAINERS:
        try:
            return Packed(_pack(_convert((value,), _Small).value), True)
        except Exception:
            # Too deep or long for that, or not of those types; the other ways find out.
            return _less_small(value)
    return careful(value)


def _less_small(value: Any) -> Packed:
    try:
        if _weight(value, _SMALL, _SMALL_DEPTH) >= 0:
            return Packed(_pack(value))
    except Exception:
        pass  # lone surrogates, odd keys: the careful way takes them
    return careful(value)


def size_bytes(snapshot: Any) -> int:
    """Roughly what a snapshot holds in memory."""
    kind = type(snapshot)
    if kind is str:
        return len(snapshot) + 50
    if kind is Packed:
        return len(snapshot.data) + 100
    if kind is tuple:
        return sum(map(size_bytes, snapshot))
    return 32


def _weight(value: Any, left: int, depth: int) -> int:
    """What is left of a small allowance after walking a container; negative when it is not small."""
    items = value.values() if type(value) is dict else value
    left -= len(items)
    if left < 0 or depth == 0:
        return -1
    for item in items:
        kind = type(item)
        if kind is str:
            if len(item) > 127:
                left -= len(item) >> 7
        elif kind in _CONTAINERS:
            left = _weight(item, left, depth - 1)
            if left < 0:
                return -1
        elif kind not in _LEAVES:
            return -1
    return left


def careful(value: Any) -> Packed:
    """A snapshot of anything at all, within the budget."""
    copier = _Copier()
    try:
        copied = copier.copy(value, 0)
    except RecursionError:
        copied, copier.truncated = "<too deep to record>", True
    try:
        return Packed(_pack(copied), False, copier.truncated)
    except Exception:
        return Packed(b"", False, copier.truncated, copied)


class _OverBudgetError(Exception):
    pass


class _Copier:
    """Copies live values into plain ones until the budget runs out."""

    __slots__ = ("bytes_left", "deadline_ns", "nodes_left", "open", "truncated")

    def __init__(self) -> None:
        self.nodes_left = MAX_NODES
        self.bytes_left = MAX_BYTES
        self.deadline_ns = time.perf_counter_ns() + int(MAX_MS * 1_000_000)
        self.open: set[int] = set()
        self.truncated = False

    def copy(self, value: Any, depth: int) -> Any:
        self.nodes_left -= 1
        if self.nodes_left < 0 or (
            self.nodes_left % _CHECK_EVERY == 0 and time.perf_counter_ns() > self.deadline_ns
        ):
            self.nodes_left = 0
            self.truncated = True
            raise _OverBudgetError
        kind = type(value)
        if kind is str:
            return self._text(value)
        if value is None or kind is bool or kind is int or kind is float:
            return self._int(value) if type(value) is int else value
        if kind is bytes or kind is bytearray:
            return self._bytes(value)
        atom = _ATOMS.get(kind)
        if atom is not None:
            return atom(value)
        if depth >= MAX_DEPTH:
            self.truncated = True
            return "<too deep to record>"
        identity = id(value)
        if identity in self.open:
            return "<cycle>"
        self.open.add(identity)
        try:
            return self._compound(kind, value, depth + 1)
        finally:
            self.open.discard(identity)

    def _compound(self, kind: type, value: Any, depth: int) -> Any:
        if kind is dict:
            return self._pairs(value, depth)
        if kind in _SEQUENCES:
            return self._items(value, depth)
        for atom in (str, int, float, bytes):
            if issubclass(kind, atom):
                return self._subclassed_atom(atom, value)
        if issubclass(kind, dict):
            return self._pairs(dict(dict.items(value)), depth)
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            names: Any = kind
            return self._pairs(dict(zip(names._fields, tuple.__iter__(value), strict=False)), depth)
        for base, iterate in _SEQUENCE_BASES:
            if issubclass(kind, base):
                return self._items(list(iterate(value)), depth)
        fields = _fields(kind, value)
        if fields is not None:
            return self._pairs(fields, depth)
        return _array(kind, value) or f"<{kind.__module__}.{kind.__qualname__}>"

    def _subclassed_atom(self, base: type, value: Any) -> Any:
        if isinstance(value, enum.Enum):
            value = value._value_
            if type(value) is not base:
                return self.copy(value, MAX_DEPTH)
        if base is str:
            return self._text(str.__str__(value))
        if base is bytes:
            return self._bytes(bytes.__getitem__(value, slice(None)))
        return self._int(int.__int__(value)) if base is int else float.__float__(value)

    def _pairs(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        try:
            for key, item in list(value.items()) if len(value) < MAX_NODES else value.items():
                out[_key(key)] = self.copy(item, depth)
        except _OverBudgetError:
            out["<truncated>"] = f"{len(value) - len(out)} more"
        except RuntimeError:  # changed size while being walked
            self.truncated = True
        return out

    def _items(self, value: Any, depth: int) -> list[Any]:
        out: list[Any] = []
        try:
            for item in value:
                out.append(self.copy(item, depth))
        except _OverBudgetError:
            out.append(f"<truncated: {len(value) - len(out)} more>")
        except RuntimeError:
            self.truncated = True
        return out

    def _text(self, text: str) -> str:
        length = len(text)
        if length * 4 > self.bytes_left:
            # Ask for the encoded size only when the worst case would not fit.
            room = self.bytes_left // (1 if text.isascii() else 4)
            if length > room:
                self.truncated = True
                self.bytes_left -= room
                return f"{text[:room]}<truncated: {length - room} more characters>"
        self.bytes_left -= length
        return text

    def _bytes(self, value: Any) -> bytes:
        length = len(value)
        if length > self.bytes_left:
            room = self.bytes_left
            self.truncated = True
            self.bytes_left = 0
            return bytes(value[:room])
        self.bytes_left -= length
        return bytes(value)

    def _int(self, value: int) -> int | str:
        if value.bit_length() > 100_000:
            self.truncated = True
            return f"<int of {value.bit_length()} bits>"
        return value


def _key(key: Any) -> Any:
    kind = type(key)
    if kind is str or kind is int or kind is bool or kind is float or key is None or kind is bytes:
        return key
    if isinstance(key, enum.Enum):
        return _key(key._value_)
    if kind is tuple:
        return tuple(_key(part) for part in key)
    if issubclass(kind, str):
        return str.__str__(key)
    return f"<{kind.__module__}.{kind.__qualname__}>"


_ATOMS: dict[type, Callable[[Any], str]] = {
    decimal.Decimal: str,
    uuid.UUID: str,
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: str,
    complex: repr,
}
_SEQUENCES = frozenset((list, tuple, set, frozenset))
_SEQUENCE_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (list, list.__iter__),
    (tuple, tuple.__iter__),
    (set, set.__iter__),
    (frozenset, frozenset.__iter__),
)


def _fields(kind: type, value: Any) -> dict[str, Any] | None:
    """The stored fields of a record class, read past any hook of its own; None for other objects.

    Only classes that declare their fields are opened: dataclasses, attrs, msgspec structs and
    pydantic models. Values come from the instance dict or the slots, so no property runs.
    """
    names = None
    for marker in ("__dataclass_fields__", "__struct_fields__", "__pydantic_fields__"):
        declared = _class_attribute(kind, marker)
        if declared is not None:
            names = tuple(declared)
            break
    else:
        attributes = _class_attribute(kind, "__attrs_attrs__")
        if attributes is not None:
            names = tuple(attribute.name for attribute in attributes)
    if names is None:
        if isinstance(value, enum.Enum):
            return {"name": value._name_, "value": value._value_}
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
        slot = _class_attribute(kind, name)
        if type(slot) in _SLOT_TYPES:
            try:
                out[name] = slot.__get__(value, kind)
            except AttributeError:
                continue
    return out


class _Slotted:
    __slots__ = ("slot",)


_SLOT_TYPES = frozenset((type(_Slotted.__dict__["slot"]),))


def _class_attribute(kind: type, name: str) -> Any:
    for owner in type.__getattribute__(kind, "__mro__"):
        found = type.__getattribute__(owner, "__dict__").get(name)
        if found is not None:
            return found
    return None


def _array(kind: type, value: Any) -> dict[str, Any] | None:
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
