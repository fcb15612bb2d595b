"""CSV as RFC 4180 has it, in UTF-8, for people who open it in a spreadsheet (layer 5).

A spreadsheet computes a cell that begins like a formula, whoever wrote it. So text that does gets an
apostrophe before it. Numbers stay numbers, minus sign and all: what is computed of them is
themselves.
"""

from __future__ import annotations

import csv
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"

#: What a formula begins with, and what ends a cell where quotes are not kept to.
_SIGNS, _ENDS = frozenset("=+-@"), frozenset("\t\r\n")
#: Controls but for TAB, LF and CR: some programs end a cell or a file at one.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _Echo:
    """A file that hands back what is written to it, as csv's writers then do."""

    def write(self, text: str) -> str:
        return text


def write(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """A header and one row a record, lines ended by CR LF, all text quoted. Pure."""
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    line: str = writer.writerow(columns)
    yield line.encode()
    for record in records:
        line = writer.writerow([_cell(record[column]) for column in columns])
        yield line.encode()


def _cell(value: Any) -> str | int | float:
    """What stands in a cell: a number, or text that computes nothing."""
    if type(value) is msgspec.Raw:
        value = _spelled(str(memoryview(value), "utf-8"))
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _harmless(value if isinstance(value, str) else str(value))


def _spelled(text: str) -> Any:
    """The value of a JSON text, but for lists and objects: these stay the text."""
    if text[:1] in "[{":
        return text
    try:
        return json.loads(text)
    except ValueError:  # a number with more digits than Python reads
        return text


def _harmless(text: str) -> str:
    """The text as a cell: controls escaped, and an apostrophe before what a formula begins with."""
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    text = text.encode("utf-8", "backslashreplace").decode()
    seen = next((character for character in text if not _is_blank(character)), "")
    # The full-width, small and raised forms of the signs are the signs to some spreadsheets.
    if unicodedata.normalize("NFKC", seen)[:1] in _SIGNS or text[:1] in _ENDS:
        return f"'{text}"
    return text


def _is_blank(character: str) -> bool:
    """Whether spreadsheets may take it off the front of a cell, or do not show it."""
    return character.isspace() or unicodedata.category(character) == "Cf"
