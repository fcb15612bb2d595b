"""Numbered pages over a store that lists by keyset (layer 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from afterword.stores.protocol import Query, Store
from afterword.stores.rows import GenerationRow

__all__ = ["AHEAD", "count", "numbered"]

#: How far past a page its total is counted. A client that walks pages never ends too early.
AHEAD = 10_000

_STRIDE = 500


def numbered(
    store: Store, query: Query, page: int, size: int, keep: Callable[[GenerationRow], bool]
) -> tuple[list[GenerationRow], int]:
    """A page of rows, newest first, and how many there are: exact up to `AHEAD` past the page."""
    start, end = page * size, (page + 1) * size
    rows: list[GenerationRow] = []
    total = 0
    for row in _walk(store, query):
        if not keep(row):
            continue
        if start <= total < end:
            rows.append(row)
        total += 1
        if total >= end + AHEAD:
            break
    return rows, total


def count(store: Store, project: str) -> int:
    """How many generations a project has; counting stops at `AHEAD`."""
    total = 0
    for _ in _walk(store, Query(project=project)):
        total += 1
        if total >= AHEAD:
            break
    return total


def _walk(store: Store, query: Query) -> Iterator[GenerationRow]:
    query = msgspec.structs.replace(query, limit=_STRIDE)
    while True:
        rows = store.generations(query)
        yield from rows
        if len(rows) < _STRIDE:
            return
        last = rows[-1]
        query = msgspec.structs.replace(query, after=(last.created_at, last.id, last.project))
