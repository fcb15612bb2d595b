"""A spool that was damaged after its program was killed: what `test_campaign_disk_damage` runs.

``python damage.py KIND FOLDER STEP`` prints one line of JSON. It makes one segment by a program that it kills,
then damages copies of it in every way of that kind and lets the delivery code start on each.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).parent.parent))

from forking import Parent, begin  # noqa: E402

from afterword import Client  # noqa: E402
from afterword.delivery.dispatch import Dispatch  # noqa: E402
from afterword.delivery.faults import Faults  # noqa: E402
from afterword.delivery.files import RealFiles  # noqa: E402
from afterword.delivery.frames import MARK  # noqa: E402
from afterword.delivery.recorder import Recorder  # noqa: E402
from afterword.delivery.sender import Sender  # noqa: E402
from afterword.delivery.spool import Spool  # noqa: E402
from afterword.stores.memory import MemoryStore  # noqa: E402
from afterword.stores.protocol import Query  # noqa: E402

SEGMENT_BYTES = 64_000
SEED = 5
_UNREACHABLE = "http://127.0.0.1:9"


def write_and_hang(parent: Parent, folder: Path) -> None:
    """Log to a store that is away until the segment is full, then wait to be killed."""
    client = Client(_UNREACHABLE, "p", spool=str(folder), durability="strict")
    number = written = 0
    while written < SEGMENT_BYTES:
        client.log(data_id=f"d{number}", inputs="i" * (number * 37 % 900), output=number)
        number += 1
        written = sum(path.stat().st_size for path in folder.rglob("*.seg"))
    parent.say(str(number))
    time.sleep(60)


def places(data: bytes) -> list[int]:
    """Where each frame begins; the mark is not in what was logged."""
    found, place = [], data.find(MARK)
    while place >= 0:
        found.append(place)
        place = data.find(MARK, place + 1)
    return found


class Case(NamedTuple):
    """One damaged copy, the frames that are whole in it, and whether damage must be counted."""

    data: bytes
    whole: set[int]
    is_counted: bool = True


def truncated(data: bytes, starts: list[int], step: int) -> Iterator[Case]:
    """Cut off at every byte of the last frame."""
    before = set(range(len(starts) - 1))
    for end in range(starts[-1], len(data)):
        yield Case(data[:end], before, end > starts[-1])


def flipped(data: bytes, starts: list[int], step: int) -> Iterator[Case]:
    """One bit of a byte is another; of every `step`-th byte."""
    draw = random.Random(SEED)
    for place in range(0, len(data), step):
        damaged = bytearray(data)
        damaged[place] ^= 1 << draw.randrange(8)
        frame = max(number for number, start in enumerate(starts) if start <= place)
        yield Case(bytes(damaged), set(range(len(starts))) - {frame})


def zeroed(data: bytes, starts: list[int], step: int) -> Iterator[Case]:
    """A tail of zeros, as file systems leave it, over the end and behind it."""
    for place in range(starts[-3], len(data), step):
        whole = {number for number, start in enumerate(starts[1:]) if start <= place}
        yield Case(data[:place] + bytes(len(data) - place), whole)
    for length in (1, 12, 4_096):
        yield Case(data + bytes(length), set(range(len(starts))))


def garbage(data: bytes, starts: list[int], step: int) -> Iterator[Case]:
    """Other bytes at the start, between two frames, at the end, and instead of all."""
    draw = random.Random(SEED)
    everything = set(range(len(starts)))
    for length in (1, 11, 13, 500, 5_000):
        junk = draw.randbytes(length)
        for place in (0, starts[len(starts) // 2], len(data)):
            yield Case(data[:place] + junk + data[place:], everything)
        yield Case(junk, set())
        # What looks like a frame's head, and claims to be very long.
        head = MARK + (250_000_000).to_bytes(4, "little") + junk
        yield Case(data[: starts[5]] + head + data[starts[5] :], everything)
    yield Case(b"", set(), is_counted=False)


KINDS = {"truncated": truncated, "flipped": flipped, "zeroed": zeroed, "garbage": garbage}


def start(folder: Path, case: Case) -> dict[str, int]:
    """A program's start on this spool: adopt, deliver, let go. Without threads, so that it is quick."""
    name = "00000000000000001-1-aaaaaaaa.seg"
    (folder / name).write_bytes(case.data)
    (folder / "notes.txt").write_text("somebody's own")
    faults, store = Faults(), MemoryStore()
    spool = Spool(RealFiles(str(folder)), on_fault=faults.note)
    dispatch = Dispatch(store, spool, faults)
    sender = Sender(dispatch)
    while sender.step() <= 0.0:
        counts = dispatch.counts
        assert counts.spooled >= 0, vars(counts)
    stored = {row.id for row in store.generations(Query(limit=10_000))}
    wanted = {f"d{number}" for number in case.whole}
    assert stored == wanted, (wanted - stored, stored - wanted)
    counts = dispatch.counts
    assert counts.stored == len(wanted)
    assert (counts.spooled, counts.in_memory, counts.in_hand, counts.dead_lettered) == (0, 0, 0, 0)
    left = sorted(path.name for path in folder.iterdir())
    damaged = [found for found in left if found.endswith(".damaged")]
    assert sorted({*left} - {*damaged}) == ["notes.txt"], left
    if case.is_counted:
        assert damaged
        assert counts.lost > 0
        assert faults.count > 0
        kept = sum((folder / found).stat().st_size for found in damaged)
        assert 0 < kept <= len(case.data)
    else:
        assert (counts.lost, damaged) == (0, [])
    for found in left:
        (folder / found).unlink()
    return {"lost": counts.lost, "stored": counts.stored}


def whole_program(folder: Path, case: Case) -> None:
    """The same with everything in place: threads, its own folder, and the real server's absence."""
    (spool,) = folder.glob("http-*")
    (segment,) = spool.glob("*.seg")
    segment.write_bytes(case.data)
    client = Client(_UNREACHABLE, "p", spool=str(folder))
    client.log(data_id="new")
    assert client.flush(2.0)
    recorder: Recorder = client.recorder
    deadline_s = time.monotonic() + 20
    while client.status().captured < len(case.whole) + 1:
        assert time.monotonic() < deadline_s, client.status()
        recorder.sender.look_for_segments()
        client.flush(0.05)
        recorder.dispatch.retries.hurry()
    recorder.dispatch.store = MemoryStore()
    while client.status().stored < len(case.whole) + 1:
        assert time.monotonic() < deadline_s, client.status()
        client.flush(0.05)
    found = client.status()
    assert found.captured == found.stored + found.dropped, found


def main(kind: str, base: str, step: str) -> None:
    folder = Path(base)
    original = folder / "original"
    original.mkdir()
    child = begin(write_and_hang, original)
    records = int(child.hear())
    child.kill()
    (segment,) = original.rglob("*.seg")
    data = segment.read_bytes()
    starts = places(data)
    assert len(starts) == records
    work = folder / "work"
    work.mkdir(mode=0o700)
    logging.getLogger("afterword").setLevel(
        logging.CRITICAL
    )  # once for each start would be too much
    cases = lost = stored = 0
    for case in KINDS[kind](data, starts, int(step)):
        found = start(work, case)
        cases += 1
        lost += found["lost"]
        stored += found["stored"]
        last = case
    shutil.copytree(original, folder / "whole")
    (spool,) = (folder / "whole").glob("http-*")
    os.chmod(spool, 0o700)
    if last.data:
        whole_program(folder / "whole", last)
    line: dict[str, Any] = {
        "cases": cases, "records": records, "stored": stored, "damage_counted": lost,
        "size_bytes": len(data),
    }  # fmt: skip
    sys.stdout.write(f"{json.dumps(line)}\n")


main(*sys.argv[1:])
