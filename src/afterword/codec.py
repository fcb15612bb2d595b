"""Values in and out: the snapshot the caller pays for, and the JSON the store keeps (layer 0).

Three forms of a value:

*live*   whatever the user's function took or returned.
*packed* a snapshot of it: the value itself when nothing can change it, else `Packed` bytes.
*plain*  None, bool, int, float, str, bytes, list, dict, as read back from a snapshot.

In JSON, plain values that JSON lacks are written as one-key objects: ``{"$float": "nan"}``,
``{"$int": "1e400 in full"}``, ``{"$bytes": base64}``, and ``{"$dict": [[key, value], ...]}`` for a
dict with a key that is not text or whose only key starts with ``$``.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import msgspec

from afterword.snapshot import Packed

_UINT64_MAX = 2**64 - 1
_INT64_MIN = -(2**63)

_unpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder(strict=False).decode
_json_encode = msgspec.json.Encoder().encode
_json_decode = msgspec.json.Decoder().decode


def plain(snapshot: Any) -> Any:
    """The plain value of a snapshot."""
    if type(snapshot) is Packed:
        return _unpacked(snapshot)
    if type(snapshot) is tuple:
        return list(snapshot)
    return snapshot


def _unpacked(packed: Packed) -> Any:
    if packed.plain is not None:
        return packed.plain
    return _unpack(packed.data)


def json_of(snapshot: Any) -> str:
    """The JSON text of a snapshot: ``to_json(plain(snapshot))``, at the least cost."""
    if type(snapshot) is str:
        try:
            return _json_encode(snapshot).decode()
        except UnicodeEncodeError:
            return to_json(snapshot)
    value = plain(snapshot)
    if type(snapshot) is Packed and snapshot.keys_are_text and b"\xcb" not in snapshot.data:
        # No float (msgpack's mark of one is not there) and no odd key: JSON has all of it.
        data = _json_encode(value)
        if b'{"$' not in data:
            return data.decode()
    return to_json(value)


def to_json(value: Any) -> str:
    """A plain value as JSON text. Lossless: `from_json` gives the same value back.

    The two halves of a surrogate pair side by side are the exception: they are one character then.
    """
    kind = type(value)
    try:
        data = _json_encode(value)
        # What JSON lacks, and what it would turn into something else, comes back different. Asking
        # that is cheaper than looking at each node.
        if kind is str or (b'{"$' not in data and _json_decode(data) == value):
            return data.decode()
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        pass
    tagged = _tagged(value)
    try:
        return _json_encode(tagged).decode()
    except UnicodeEncodeError:
        text = json.dumps(tagged, ensure_ascii=False, separators=(",", ":"))
        # Python's escape of a lone surrogate is JSON's too.
        return text.encode("utf-8", "backslashreplace").decode()


def from_json(text: str) -> Any:
    """The plain value that `to_json` wrote."""
    try:
        value = _json_decode(text)
    except msgspec.DecodeError:
        value = json.loads(text)
    return _untagged(value) if '"$' in text else value


def clean(text: str) -> str:
    """Text that every store takes: lone surrogates and NUL become backslash escapes."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _tagged(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        return value if _INT64_MIN <= value <= _UINT64_MAX else {"$int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind is dict:
        if any(type(key) is not str for key in value) or (
            len(value) == 1 and next(iter(value)).startswith("$")
        ):
            return {"$dict": [[_tagged(key), _tagged(item)] for key, item in value.items()]}
        return {key: _tagged(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_tagged(item) for item in value]
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"{kind.__name__} is not a plain value")


def _untagged(value: Any) -> Any:
    if type(value) is list:
        return [_untagged(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        tag, content = next(iter(value.items()))
        if tag == "$float":
            return float(content)
        if tag == "$int":
            return int(content, 16)
        if tag == "$bytes":
            return base64.b64decode(content)
        if tag == "$dict":
            return {_hashable(_untagged(key)): _untagged(item) for key, item in content}
    return {key: _untagged(item) for key, item in value.items()}


def _hashable(key: Any) -> Any:
    return tuple(_hashable(item) for item in key) if type(key) is list else key
