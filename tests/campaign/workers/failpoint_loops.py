"""Programs that end at a named place in the delivery code: what `test_campaign_process_failpoints` runs.

``python failpoint_loops.py FOLDER NAME...`` prints one line of JSON for each name and each of the first
three times that it is come by.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))

from forking import Parent, begin  # noqa: E402
from ledger import Held, Ledger, check, digest, generation_key, held_in_sqlite, read  # noqa: E402

from afterword import Client  # noqa: E402
from afterword.delivery import failpoints  # noqa: E402
from afterword.errors import StoreUnavailable  # noqa: E402
from afterword.stores import sqlite  # noqa: E402

TIMES = (1, 2, 3)
CYCLES = 4
ORPHANS = 4
WAIT_S = 20.0


class Fleeting:
    """What makes a real store go away, and refuse some records.

    It is the class that is changed, since a client that finds segments delivers them as soon as it is made.
    """

    def __init__(self) -> None:
        self.is_away = False
        really_write = sqlite.SqliteStore.write

        def write(store: Any, generations: Sequence[Any], feedback: Sequence[Any]) -> Any:
            if self.is_away:
                raise StoreUnavailable("gone fishing")
            if any(row.id.startswith("poison") for row in generations):
                raise ValueError("poison")
            return really_write(store, generations, feedback)

        sqlite.SqliteStore.write = write  # type: ignore[method-assign]


def opened(folder: Path) -> tuple[Client, Fleeting]:
    store = Fleeting()  # once a process
    return Client(f"sqlite:///{folder / 'store.db'}", "p", durability="strict"), store


def log(client: Client, ledger: Ledger, data_id: str) -> None:
    """One record, and one statement on it, acknowledged as they are."""
    key = ledger.attempt(data_id, "i" * 200, "o")
    client.log(data_id=data_id, inputs="i" * 200, output="o")
    ledger.acknowledge(key)
    key = ledger.attempt_feedback(data_id, "rating", "good", "ann")
    client.feedback(data_id, "rating", "good", user="ann")
    ledger.acknowledge(key)


def leave(parent: Parent, base: Path, number: int) -> None:
    """Leave a segment behind. It is made elsewhere, or its writer would deliver those before it."""
    folder = base.parent / f"left-{number}"
    folder.mkdir()
    client, store = opened(folder)
    store.is_away = True
    for record in range(5):
        log(client, Ledger(base / "ledger"), f"orphan-{number}-{record}")
    (segment,) = (folder / "store.db-spool").glob("*.seg")
    segment.rename(base / "store.db-spool" / segment.name)


def work(parent: Parent, folder: Path, armed: str) -> None:
    """Come by every place at least three times, and end at one of them."""
    failpoints._name, failpoints._left = failpoints._armed(armed) or ("", 0)
    client, store = opened(folder)
    ledger = Ledger(folder / "ledger")
    wait(client)
    for cycle in range(CYCLES):
        store.is_away = False
        log(client, ledger, f"poison-at-once-{cycle}")
        store.is_away = True
        for record in range(3):
            log(client, ledger, f"kept-{cycle}-{record}")
        log(client, ledger, f"poison-kept-{cycle}")
        log(client, ledger, f"kept-{cycle}-last")
        store.is_away = False
        wait(client)
    client.close()


def wait(client: Client) -> None:
    """Until the store has everything that was left by whomever, but what it refuses."""
    deadline_s = time.monotonic() + WAIT_S
    spool = client.recorder.spool
    while True:
        found = client.status()
        kept = found.stored + found.buffered + found.spooled + found.dead_lettered + found.dropped
        assert found.captured == kept, found
        assert found.dropped == 0, found
        if not spool.has_segments() and found.stored + found.dead_lettered == found.captured:
            return
        assert time.monotonic() < deadline_s, found
        client.recorder.sender.look_for_segments()
        client.flush(0.02)


def restart(parent: Parent, folder: Path) -> None:
    client, _ = opened(folder)
    wait(client)
    assert client.recorder.dispatch.dead_letters is not None
    letters = [*client.recorder.dispatch.dead_letters.all()]
    keys = [generation_key(letter.id) for letter in letters]
    (folder / "letters.json").write_text(json.dumps(keys))
    client.close()
    unknown = [
        path.name
        for path in (folder / "store.db-spool").iterdir()
        if path.suffix not in (".dead", ".seg") or path.suffix == ".seg" and path.stat().st_size
    ]
    assert not unknown, unknown


def try_one(base: Path, folder: Path, armed: str) -> dict[str, Any]:
    shutil.copytree(base, folder)
    code = begin(work, folder, armed).wait()
    assert begin(restart, folder).wait() == 0, armed
    held = held_in_sqlite(folder / "store.db")
    content = digest(["i" * 200, "o"])
    # A program that ends between keeping a letter and noting that keeps it once more.
    letters = {*json.loads((folder / "letters.json").read_text())}
    assert all("poison" in key for key in letters)
    rows = [*held.rows, *((key, content) for key in letters)]
    result = check(read(folder / "ledger"), Held(rows, held.fault)).require(armed)
    return {
        "armed": armed, "killed": code == -signal.SIGKILL, "attempted": result.attempted,
        "acknowledged": result.acknowledged,
    }  # fmt: skip


def main(folder: str, *names: str) -> None:
    base = Path(folder) / "base"
    base.mkdir()
    (base / "store.db-spool").mkdir(mode=0o700)
    for number in range(ORPHANS):
        assert begin(leave, base, number).wait() == 0
    for name in names:
        for times in TIMES:
            armed = f"{name}:{times}"
            found = try_one(base, Path(folder) / armed, armed)
            sys.stdout.write(f"{json.dumps(found)}\n")


if "AFTERWORD_FAILPOINT" in os.environ:
    raise SystemExit("the places are armed one after the other")
main(*sys.argv[1:])
