"""What a value was when the call was made, at a bounded price for the caller (layer 0).

Small values of exactly the built-in types are encoded by msgspec, in C. Everything else is copied
node by node within a budget of nodes, bytes, depth and time; what does not fit is replaced by a
note and the snapshot says it was truncated. Unknown objects become ``<module.Type>``: nothing of
theirs is called, hashed, iterated or awaited.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec

from afterword.fields import array_of, class_attribute, fields_of, name_of

MAX_NODES = 10_000
MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_MS = 3.0

_SMALL = 131_072
_SMALL_DEPTH = 24
_NODE = 128
_CHECK_EVERY = 64
_MAX_INT_BITS = 100_000
_KEY_PARTS = 16

_pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode


class Packed(msgspec.Struct, gc=False, eq=False):
    """A snapshot of something mutable: msgpack bytes, or the plain copy when those cannot hold it.

    `keys_are_text` is known of small values only; it makes writing them as JSON cheaper.
    """

    data: bytes
    keys_are_text: bool = False
    truncated: bool = False
    plain: Any = None
    #: Roughly what `plain` holds in memory.
    plain_bytes: int = 0


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
    elif kind is dict or kind is list or kind is tuple:
        try:
            if _allowance(value, _SMALL, _SMALL_DEPTH) >= 0:
                return Packed(_pack(value), True)
        except Exception:
            pass  # odd keys, lone surrogates, a change meanwhile: the careful way takes them
    return careful(value)


def size_bytes(snapshot: Any) -> int:
    """Roughly what a snapshot holds in memory."""
    kind = type(snapshot)
    if kind is str:
        return len(snapshot) + 50
    if kind is Packed:
        return len(snapshot.data) + int(snapshot.plain_bytes) + 100
    if kind is tuple:
        sizes: list[int] = [size_bytes(part) for part in snapshot]
        return sum(sizes)
    return 32


def _allowance(value: Any, left: int, depth: int) -> int:
    """What is left of a small allowance after walking a container; negative when it is not small.

    Keys must be text, and values of exactly the built-in types: nothing of other types may run.
    """
    left -= len(value) * _NODE
    if left < 0 or depth == 0:
        return -1
    item: Any
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str or len(key) > _NODE:
                return -1
            if (kind := type(item)) is str:
                left -= len(item)
            elif kind is dict or kind is list or kind is tuple:
                if (left := _allowance(item, left, depth - 1)) < 0:
                    return -1
            elif not (kind is int or kind is float or kind is bool or item is None):
                return -1
        return left
    for item in value:
        if (kind := type(item)) is str:
            left -= len(item)
        elif kind is dict or kind is list or kind is tuple:
            if (left := _allowance(item, left, depth - 1)) < 0:
                return -1
        elif not (kind is int or kind is float or kind is bool or item is None):
            return -1
    return left


def careful(value: Any) -> Packed:
    """A snapshot of anything at all, within the budget."""
    copier = _Copier()
    try:
        copied = copier.copy(value, 0)
    except (_OverBudgetError, RecursionError):
        copied, copier.truncated = "<too deep to record>", True
    try:
        return Packed(_pack(copied), False, copier.truncated)
    except Exception:
        return Packed(b"", False, copier.truncated, copied, copier.held_bytes())


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
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return self._int(value)
        if kind is bytes or kind is bytearray:
            return self._bytes(value)
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
        for base in (str, int, float, bytes):
            if issubclass(kind, base):
                return self._subclassed_atom(base, kind, value)
        for atom, text in _ATOMS:
            if issubclass(kind, atom):
                return _atom(kind, text, value)
        if issubclass(kind, dict):
            # Not `value.items()`, which a subclass may have made its own.
            return self._pairs(dict.items(value), dict.__len__(value), depth)
        if issubclass(kind, tuple):
            names: Any = class_attribute(kind, "_fields")
            if type(names) is tuple:
                pairs = zip(cast("Any", names), tuple.__iter__(value), strict=False)
                return self._pairs(pairs, len(names), depth)
        for sequence, iterate, count in _SEQUENCES:
            if issubclass(kind, sequence):
                return self._items(iterate(value), count(value), depth)
        fields = fields_of(kind, value)
        if fields is not None:
            return self._pairs(fields.items(), len(fields), depth)
        return array_of(kind, value) or name_of(kind)

    def _subclassed_atom(self, base: type, kind: type, value: Any) -> Any:
        if issubclass(kind, enum.Enum):
            value = object.__getattribute__(value, "_value_")
            if type(value) is not base:
                return self.copy(value, MAX_DEPTH)
        if base is str:
            return self._text(str.__str__(value))
        if base is bytes:
            return self._bytes(bytes.__getitem__(value, slice(None)))
        return self._int(int.__int__(value)) if base is int else float.__float__(value)

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], count: int, depth: int) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        try:
            for key, item in pairs:
                recorded = self._key(key, 0)
                if recorded in out:
                    self.truncated = True
                out[recorded] = self.copy(item, depth)
        except _OverBudgetError:
            out["<truncated>"] = f"{count - len(out)} more"
        except RuntimeError:  # changed size while being walked
            self.truncated = True
        return out

    def _items(self, items: Iterable[Any], count: int, depth: int) -> list[Any]:
        out: list[Any] = []
        try:
            for item in items:
                out.append(self.copy(item, depth))
        except _OverBudgetError:
            out.append(f"<truncated: {count - len(out)} more>")
        except RuntimeError:
            self.truncated = True
        return out

    def _key(self, key: Any, depth: int) -> Any:
        """The key as a plain value that can be a key, found without asking the key itself."""
        kind = type(key)
        if kind is str:
            return self._text(key)
        if key is None or kind is bool or kind is float:
            return key
        if kind is int:
            return self._int(key)
        if kind is bytes:
            return self._bytes(key)
        if issubclass(kind, enum.Enum):
            return self._key(object.__getattribute__(key, "_value_"), depth)
        if kind is tuple and len(key) <= _KEY_PARTS and depth < _KEY_PARTS:
            return tuple([self._key(part, depth + 1) for part in key])
        if issubclass(kind, str):
            return self._text(str.__str__(key))
        return name_of(kind)

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
        bits = value.bit_length()
        if bits > 64:
            if bits > _MAX_INT_BITS or bits >> 3 > self.bytes_left:
                self.truncated = True
                return f"<truncated: an int of {bits} bits>"
            self.bytes_left -= bits >> 3
        return value

    def held_bytes(self) -> int:
        """Roughly what the copy holds in memory."""
        nodes = MAX_NODES - max(self.nodes_left, 0)
        return MAX_BYTES - max(self.bytes_left, 0) + 64 * nodes


def _atom(kind: type, text: Callable[[Any], str], value: Any) -> str:
    try:
        return text(value)
    except Exception:
        return name_of(kind)  # a time zone may be anybody's code


_ATOMS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (decimal.Decimal, decimal.Decimal.__str__),
    (uuid.UUID, uuid.UUID.__str__),
    (dt.datetime, dt.datetime.isoformat),
    (dt.date, dt.date.isoformat),
    (dt.time, dt.time.isoformat),
    (dt.timedelta, dt.timedelta.__str__),
    (complex, complex.__repr__),
)
_SEQUENCES: tuple[tuple[type, Callable[[Any], Any], Callable[[Any], int]], ...] = (
    (list, list.__iter__, list.__len__),
    (tuple, tuple.__iter__, tuple.__len__),
    (set, set.__iter__, set.__len__),
    (frozenset, frozenset.__iter__, frozenset.__len__),
)
