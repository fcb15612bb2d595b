"""Segments: where records wait in order, on disk or in memory, until the store has them (layer 2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from afterword.delivery.files import SegmentFile
from afterword.delivery.frames import Gap, Spooled, record_of, scan

_CHUNK_BYTES = 1_000_000


class Item(NamedTuple):
    """One record that waits. `body` is how it was written; `record` None when it cannot be read."""

    record: Spooled | None
    body: bytes
    #: Where the next one begins.
    end: int


class Segment(Protocol):
    """Records that wait, in order."""

    #: How many records wait here, as `status` counts them.
    records: int
    #: Whether a process that ended has left them.
    is_adopted: bool

    def peek(self, most: int) -> tuple[list[Item], list[Gap]]:
        """The next records, and damage met on the way to them; neither when none are left."""
        ...

    def advance(self, items: Sequence[Item]) -> None:
        """These, the first that wait, need to wait no longer."""
        ...

    @property
    def is_empty(self) -> bool: ...


class DiskSegment:
    """A file of frames. One thread appends to it, and one reads behind that."""

    def __init__(
        self, name: str, file: SegmentFile, *, end: int = 0, is_adopted: bool = False
    ) -> None:
        self.name = name
        self.file = file
        self.end = end
        self.place = 0
        self.records = 0
        self.is_adopted = is_adopted

    @property
    def is_empty(self) -> bool:
        return self.place >= self.end

    def peek(self, most: int) -> tuple[list[Item], list[Gap]]:
        size_bytes = _CHUNK_BYTES
        while True:
            start, end = self.place, self.end
            data = self.file.read(start, min(size_bytes, end - start))
            is_whole = len(data) >= end - start or len(data) < size_bytes
            found = scan(data, most_frames=most)
            if found.frames or is_whole:
                break
            size_bytes *= 4  # the next record is larger than that
        if not found.frames:
            return [], [Gap(start, end)] if start < end else []
        # What comes after the last frame is looked at again from there.
        gaps = [
            Gap(start + gap.start, start + gap.end) for gap in found.gaps if gap.start < found.end
        ]
        return [_item(body, start + stop) for _, stop, body in found.frames], gaps

    def advance(self, items: Sequence[Item]) -> None:
        if items:
            self.place = items[-1].end
            self.records -= sum(_weight(item) for item in items)


class MemorySegment:
    """Records that no disk would take."""

    is_adopted = False

    def __init__(self) -> None:
        self._waiting: deque[Spooled] = deque()
        self.records = 0

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def append(self, records: Sequence[Spooled]) -> None:
        self._waiting.extend(records)
        self.records += sum(record.records for record in records)

    def peek(self, most: int) -> tuple[list[Item], list[Gap]]:
        return [Item(record, b"", 0) for record in islice(self._waiting, most)], []

    def advance(self, items: Sequence[Item]) -> None:
        for item in items:
            self._waiting.popleft()
            self.records -= _weight(item)


def _item(body: bytes, end: int) -> Item:
    try:
        return Item(record_of(body), body, end)
    except ValueError:
        return Item(None, body, end)  # a newer version wrote it


def _weight(item: Item) -> int:
    return 1 if item.record is None else item.record.records


def weight(items: Sequence[Item]) -> int:
    """How many records these are, as `status` counts them."""
    return sum(map(_weight, items))
