"""JSON Lines: one record a line, as it is kept; nothing is lost or changed (layer 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

MEDIA_TYPE = "application/x-ndjson"

#: What JSON may hold as it is, though many readers, `str.splitlines` among them, end a line there.
_LINE_ENDS = tuple(
    (chr(code).encode(), f"\\u{code:04x}".encode()) for code in (0x85, 0x2028, 0x2029)
)

_encode = msgspec.json.Encoder().encode


def write(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One JSON object a line, its fields in the order of `columns`. Pure."""
    for record in records:
        line = _encode({column: record[column] for column in columns})
        for character, escape in _LINE_ENDS:
            line = line.replace(character, escape)
        yield line + b"\n"
