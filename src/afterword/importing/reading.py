"""Records out of a file, one at a time and each with its line: JSON, JSON Lines or CSV (layer 5)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

__all__ = ["Unreadable", "records_of"]

#: Keys under which a page of records has them.
_LISTS = ("records", "logs", "data", "items")
_DECODER = json.JSONDecoder()


class Unreadable(Exception):
    """A part of a file that is no record; the message says why."""


def records_of(path: Path) -> Iterator[tuple[int, dict[str, Any] | Unreadable]]:
    """Each record of a file with the line it begins on, or why there is none.

    ``.csv`` is CSV with a header; cells that hold JSON are read as JSON. Everything else is one JSON
    document (a record, a list, or a page that holds a list) or one document a line.

    Raises:
        OSError: the file cannot be read.
    """
    if path.suffix.lower() == ".csv":
        yield from _rows(path)
        return
    text = path.read_text("utf-8-sig", errors="replace")
    start = _list_start(text)
    yield from _listed(text, start) if start is not None else _lines(text)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | Unreadable]]:
    csv.field_size_limit(100_000_000)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        line = reader.line_num + 1
        for row in reader:
            if None in row or None in row.values():
                yield line, Unreadable("the row has more or fewer cells than the header")
            else:
                yield line, _nested({name: _cell(cell) for name, cell in row.items()})
            line = reader.line_num + 1


def _cell(text: str) -> Any:
    if not text:
        return None
    if text[0] in "[{" or text in ("null", "true", "false"):
        try:
            return json.loads(text, strict=False)  # line breaks stay as they are in a cell
        except ValueError:
            return text
    return text


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    """``config.model`` in a header is the field `model` of `config`."""
    out: dict[str, Any] = {}
    for name, value in row.items():
        *parents, last = name.split(".")
        place = out
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                break
            place = cast("dict[str, Any]", inner)
        else:
            if value is not None or last not in place:
                place[last] = value
    return {name: value for name, value in out.items() if value != {}}


def _list_start(text: str) -> int | None:
    """Where the list of records begins, just after its bracket; None when there is none."""
    begin = len(text) - len(text.lstrip())
    if text[begin : begin + 1] == "[":
        return begin + 1
    if text[begin : begin + 1] != "{":
        return None
    # A page may be large, so only its first keys are looked at before the list.
    at = _past(text, begin + 1)
    while text[at : at + 1] == '"':
        try:
            name, at = _DECODER.raw_decode(text, at)
            at = _past(text, at)
            if text[at : at + 1] != ":":
                return None
            at = _past(text, at + 1)
            if name in _LISTS and text[at : at + 1] == "[":
                return at + 1
            _, at = _DECODER.raw_decode(text, at)
        except ValueError:
            return None
        at = _past(text, at)
        if text[at : at + 1] != ",":
            return None
        at = _past(text, at + 1)
    return None


def _listed(text: str, at: int) -> Iterator[tuple[int, dict[str, Any] | Unreadable]]:
    line, counted = 1, 0
    while True:
        at = _past(text, at)
        line, counted = line + text.count("\n", counted, at), at
        if at >= len(text):
            yield line, Unreadable("the file ends in the middle of its list")
            return
        if text[at] == "]":
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield line, Unreadable(f"no JSON from here on: {error}")
            return
        yield line, _record(value)
        at = _past(text, end)
        if text[at : at + 1] == ",":
            at += 1


def _lines(text: str) -> Iterator[tuple[int, dict[str, Any] | Unreadable]]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        yield 1, _record(whole)
        return
    for line, part in enumerate(text.splitlines(), start=1):
        if not part.strip():
            continue
        try:
            yield line, _record(json.loads(part))
        except (ValueError, RecursionError) as error:
            yield line, Unreadable(f"the line is not JSON: {error}")


def _record(value: Any) -> dict[str, Any] | Unreadable:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return Unreadable(f"a record is an object, not {type(value).__name__}")


def _past(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
