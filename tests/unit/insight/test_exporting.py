"""What an export holds while others write, and how much of the store it holds at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterword.errors import InvalidInput
from afterword.insight.exporting import PAGE_ROWS, records
from afterword.stores import Store, open_store
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

ROWS = 3 * PAGE_ROWS


class Watched:
    """A store that notes how many generations each read of it gave."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def generations(self, wanted: Query) -> list[GenerationRow]:
        found = self._store.generations(wanted)
        self.sizes.append(len(found))
        return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    store = open_store(f"sqlite:///{tmp_path}/afterword.db")
    store.write([row(number) for number in range(ROWS)], [])
    yield Watched(store)
    store.close()


def row(number: int) -> GenerationRow:
    return GenerationRow(id=f"g{number}", project="p", created_at=number * 10)


def test_no_more_than_a_page_is_read_ahead(store: Any) -> None:
    found = records(store, "generations", Query(limit=1, after=(5, "x", "p")))
    assert store.sizes == []
    for taken, _ in enumerate(found, start=1):
        assert sum(store.sizes) - taken < PAGE_ROWS
    assert taken == ROWS
    assert store.sizes == [PAGE_ROWS] * 3 + [0]


def test_what_is_written_meanwhile_neither_repeats_nor_hides_a_row(store: Any) -> None:
    seen: list[str] = []
    for number, record in enumerate(records(store, "generations", Query())):
        seen.append(record["id"])
        if number % 100 == 0:
            # One newer than all, and one among those of the page that is being read.
            store.write([row(ROWS + number), row(ROWS - number - 1)], [])
            late = GenerationRow(id=f"late{number}", project="p", created_at=(ROWS - number) * 10)
            store.write([late], [])
    assert len(seen) == len(set(seen))
    assert {f"g{number}" for number in range(ROWS)} <= set(seen)


def test_a_kind_that_is_not_there_is_named_with_those_that_are(store: Any) -> None:
    with pytest.raises(InvalidInput, match="generations, feedback, corrections"):
        records(store, "everything", Query())
    for kind in ("generations", "corrections"):
        with pytest.raises(InvalidInput, match="history"):
            records(store, kind, Query(), history=True)
