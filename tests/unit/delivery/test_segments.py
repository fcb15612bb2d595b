"""Segments: records wait in order, and go in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from afterword.delivery.files import RealFiles
from afterword.delivery.frames import Spooled, frame, framed
from afterword.delivery.segments import DiskSegment, MemorySegment, weight
from afterword.stores.rows import GenerationRow


def a_record(data_id: str, text: str = "") -> Spooled:
    return Spooled(generation=GenerationRow(id=data_id, project="p", created_at=1, output=text))


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[DiskSegment]:
    file = RealFiles(str(tmp_path)).create("a.seg")
    segment = DiskSegment("a.seg", file)
    yield segment
    file.close()


def append(segment: DiskSegment, *parts: bytes) -> None:
    for part in parts:
        segment.file.append(part)
        segment.records += 1
    segment.end = segment.file.size_bytes()


def keys(items: list[object]) -> list[str]:
    return [item.record.key for item in items]  # type: ignore[attr-defined]


def test_what_was_appended_is_peeked_in_order_until_it_is_taken(segment: DiskSegment) -> None:
    assert segment.is_empty
    append(segment, *(frame(a_record(f"g{number}")) for number in range(5)))
    first, gaps = segment.peek(2)
    assert keys([*first]) == ["g0", "g1"]
    assert gaps == []
    assert segment.peek(2)[0] == first
    segment.advance(first)
    rest, _ = segment.peek(100)
    assert keys([*rest]) == ["g2", "g3", "g4"]
    assert segment.records == 3
    segment.advance(rest)
    assert segment.is_empty
    assert segment.records == 0
    assert segment.peek(100) == ([], [])


def test_more_may_come_behind_what_is_taken_out(segment: DiskSegment) -> None:
    append(segment, frame(a_record("g0")))
    segment.advance(segment.peek(9)[0])
    append(segment, frame(a_record("g1")))
    assert keys([*segment.peek(9)[0]]) == ["g1"]


@pytest.mark.parametrize("size_chars", [999_900, 1_000_000, 4_100_000, 20_000_000])
def test_a_record_of_any_size_is_found(segment: DiskSegment, size_chars: int) -> None:
    append(segment, frame(a_record("large", "x" * size_chars)), frame(a_record("small")))
    items: list[object] = []
    while not segment.is_empty:
        found, gaps = segment.peek(500)
        assert gaps == []
        items += found
        segment.advance(found)
    assert keys(items) == ["large", "small"]


def test_damage_between_records_is_told_where_it_is(segment: DiskSegment) -> None:
    first, second = frame(a_record("g0")), frame(a_record("g1"))
    append(segment, first, b"\0" * 40, second)
    items, gaps = segment.peek(9)
    assert keys([*items]) == ["g0", "g1"]
    assert [tuple(gap) for gap in gaps] == [(len(first), len(first) + 40)]


def test_damage_at_the_end_is_told_once_it_is_all_that_is_left(segment: DiskSegment) -> None:
    first = frame(a_record("g0"))
    append(segment, first, first[:-3])
    items, gaps = segment.peek(9)
    assert gaps == []
    segment.advance(items)
    left, gaps = segment.peek(9)
    assert left == []
    assert [tuple(gap) for gap in gaps] == [(len(first), 2 * len(first) - 3)]


def test_damage_larger_than_any_read_is_passed_in_one(segment: DiskSegment) -> None:
    append(segment, b"\0" * 5_000_000, frame(a_record("g0")))
    items, gaps = segment.peek(9)
    assert keys([*items]) == ["g0"]
    assert [tuple(gap) for gap in gaps] == [(0, 5_000_000)]


def test_what_a_newer_version_wrote_counts_as_one(segment: DiskSegment) -> None:
    append(segment, framed(b"\xc1 of a newer version"), frame(a_record("g0")))
    items, _ = segment.peek(9)
    assert [item.record is None for item in items] == [True, False]
    assert items[0].body == b"\xc1 of a newer version"
    assert weight(items) == 2


def test_memory_gives_records_in_order_too() -> None:
    segment = MemorySegment()
    assert segment.is_empty
    segment.append([a_record(f"g{number}") for number in range(3)])
    assert segment.records == 3
    items, gaps = segment.peek(2)
    assert keys([*items]) == ["g0", "g1"]
    assert gaps == []
    segment.advance(items)
    assert segment.records == 1
    assert keys([*segment.peek(9)[0]]) == ["g2"]
