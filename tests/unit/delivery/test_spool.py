"""The spool on a real disk: order, reuse, caps, orphans, damage, and what it does when the disk does not."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterword.delivery.contents import contents_of
from afterword.delivery.files import RealFiles
from afterword.delivery.folder import prepare
from afterword.delivery.frames import Spooled, frame
from afterword.delivery.spool import MEMORY_RECORDS, Spool
from afterword.errors import DeliveryError
from afterword.stores.rows import GenerationRow

Make = Callable[..., Spool]


def a_record(data_id: str, text: str = "") -> Spooled:
    return Spooled(generation=GenerationRow(id=data_id, project="p", created_at=1, output=text))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    made: list[Spool] = []

    def make(**options: object) -> Spool:
        spool = Spool(RealFiles(str(folder)), prepare=lambda: prepare(str(folder)), **options)  # type: ignore[arg-type]
        made.append(spool)
        return spool

    yield make
    for spool in made:
        spool.release()


def drained(spool: Spool, most: int = 7) -> list[str]:
    """The IDs of all that waits, taken out."""
    found: list[str] = []
    for _ in range(100_000):
        batch = spool.peek(most)
        if batch is None:
            return found
        found += [item.record.key for item in batch.items if item.record is not None]
        spool.advance(batch, batch.items)
    raise AssertionError("it never ends")


def test_records_come_out_in_the_order_they_went_in(make: Make) -> None:
    spool = make()
    for number in range(30):
        spool.append([a_record(f"g{number}"), a_record(f"h{number}")], sync=number % 7 == 0)
    assert not spool.is_empty
    expected = [f"{letter}{number}" for number in range(30) for letter in "gh"]
    assert drained(spool) == expected
    assert spool.is_empty


def test_a_segment_that_is_full_is_followed_by_another_and_goes_when_it_is_empty(
    make: Make, folder: Path
) -> None:
    spool = make(segment_bytes=2_000)
    for number in range(20):
        spool.append([a_record(f"{number:02}", "x" * 500)], sync=False)
    segments = contents_of(spool.files).segments
    assert segments >= 5
    assert drained(spool, 1) == [f"{number:02}" for number in range(20)]
    spool.rest()
    assert contents_of(spool.files).segments == 0


def test_what_was_left_is_taken_over_in_order_and_counted(make: Make) -> None:
    left = make()
    left.append([a_record("a"), a_record("b")], sync=True)
    left.release()
    spool = make()
    assert spool.has_segments()
    segment = spool.adopt()
    assert segment is not None
    assert (segment.records, segment.is_adopted) == (2, True)
    assert spool.adopt() is None
    assert drained(spool) == ["a", "b"]
    assert not spool.has_segments()


def test_a_living_process_s_segment_is_left_alone(make: Make) -> None:
    living = make()
    living.append([a_record("a")], sync=True)
    assert make().adopt() is None
    assert drained(living) == ["a"]


def test_over_the_cap_nothing_more_is_taken_until_there_is_room(make: Make) -> None:
    spool = make(cap_bytes=3_000, segment_bytes=1_000)
    kept = 0
    with pytest.raises(OSError, match="full") as caught:
        for kept in range(100):  # noqa: B007 - its last value says how many were kept
            spool.append([a_record(f"{kept}", "x" * 400)], sync=True)
    assert caught.value.errno == errno.ENOSPC
    assert 3 <= kept <= 6
    assert contents_of(spool.files).size_bytes <= 3_000
    assert drained(spool) == [str(number) for number in range(kept)]
    spool.append([a_record("again")], sync=True)


def test_space_stays_free_on_the_disk(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for free_bytes, all_bytes, is_taken in (
        (499_000_000, 100_000_000_000, False), (501_000_000, 100_000_000_000, True),
        (40_000_000, 1_000_000_000, False), (60_000_000, 1_000_000_000, True),
    ):  # fmt: skip
        space = (free_bytes, all_bytes)
        monkeypatch.setattr(RealFiles, "free_bytes", lambda self, space=space: space)
        spool = make()
        if is_taken:
            spool.append([a_record("a")], sync=True)
        else:
            with pytest.raises(OSError, match="full"):
                spool.append([a_record("a")], sync=True)


def test_damage_is_set_aside_and_the_records_around_it_pass(make: Make, folder: Path) -> None:
    left = make()
    left.append([a_record(name) for name in "abc"], sync=True)
    left.release()
    (path,) = folder.glob("*.seg")
    size_bytes = len(frame(a_record("a")))
    data = bytearray(path.read_bytes())
    data[size_bytes + 20] ^= 1
    path.write_bytes(data)
    faults: list[str] = []
    spool = make(on_fault=lambda kind, error: faults.append(kind))
    segment = spool.adopt()
    assert segment is not None
    assert segment.records == 3
    batch = spool.peek(9)
    assert batch is not None
    assert [item.record.key for item in batch.items if item.record is not None] == ["a", "c"]
    assert spool.advance(batch, batch.items) == 1
    assert contents_of(spool.files)[:1] == (0,)
    (damaged,) = folder.glob("*.damaged")
    assert damaged.read_bytes() == bytes(data[size_bytes : 2 * size_bytes])
    assert faults == ["reading the spool"]
    spool.drop_damaged()
    assert list(folder.iterdir()) == []


def test_a_retired_segment_is_delivered_and_goes_whatever_comes_after(make: Make) -> None:
    spool, other = make(), make()
    spool.append([a_record("a")], sync=False)
    other.append([a_record("other")], sync=False)
    waiting = spool.retire()
    assert len(waiting) == 2
    spool.append([a_record("b")], sync=False)
    batch = spool.peek(9)
    assert batch is not None
    spool.advance(batch, batch.items)
    assert spool.files is not None
    assert len(waiting & set(spool.files.names())) == 1  # the other's, which lives
    assert drained(spool) == ["b"]


def test_when_the_folder_was_removed_it_is_made_again(make: Make, folder: Path) -> None:
    spool = make()
    spool.append([a_record("a")], sync=True)
    drained(spool)
    spool.rest()
    folder.rmdir()
    spool.append([a_record("b")], sync=True)
    assert drained(spool) == ["b"]


def test_synced_means_that_the_file_can_still_be_found(make: Make, folder: Path) -> None:
    spool = make()
    spool.append([a_record("a")], sync=True)
    for path in folder.glob("*.seg"):
        path.unlink()
    spool.append([a_record("b")], sync=True)
    (path,) = folder.glob("*.seg")
    assert path.stat().st_size > 0
    assert not spool.sync(), "nobody after this process will find the first"
    assert drained(spool) == ["a", "b"]
    assert spool.sync()


def test_a_folder_that_may_not_be_used_says_why_and_is_tried_again_later(
    make: Make, folder: Path
) -> None:
    now_s = 0.0
    folder.mkdir()
    folder.chmod(0o777)
    spool = make(clock_s=lambda: now_s)
    assert not spool.is_on_disk
    assert "chmod 700" in str(spool.problem)
    with pytest.raises(DeliveryError, match="chmod 700"):
        spool.append([a_record("a")], sync=True)
    folder.chmod(0o700)
    assert not spool.is_on_disk
    now_s = 5.0
    assert spool.is_on_disk
    assert spool.problem is None


def test_memory_has_room_for_few() -> None:
    spool = Spool(None)
    assert not spool.is_on_disk
    assert spool.adopt() is None
    assert spool.retire() == set()
    assert spool.remember([a_record(str(number)) for number in range(MEMORY_RECORDS)])
    assert not spool.remember([a_record("one more")])
    assert drained(spool) == [str(number) for number in range(MEMORY_RECORDS)]
    assert spool.remember([a_record("again")])
