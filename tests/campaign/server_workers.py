"""What the processes of the server campaigns run. Each function is one process's whole work."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import apsw

sys.path.append(str(Path(__file__).parent))

from ledger import Ledger  # noqa: E402

from afterword.errors import StoreBusy, StoreError, StoreUnavailable  # noqa: E402
from afterword.feedback.rows import FeedbackRow  # noqa: E402
from afterword.ids import new_id  # noqa: E402
from afterword.stores import Store, open_store  # noqa: E402
from afterword.stores.rows import GenerationRow  # noqa: E402
from afterword.stores.sqlite import SqliteStore  # noqa: E402


def generation(data_id: str, inputs: str, output: str, **fields: object) -> GenerationRow:
    known = {"created_at": time.time_ns() // 1_000, "status": "ok", "project": "p", **fields}
    return GenerationRow(id=data_id, inputs=f'"{inputs}"', output=f'"{output}"', **known)  # type: ignore[arg-type]


def rating(data_id: str, value: str, user: str) -> FeedbackRow:
    now = time.time_ns() // 1_000
    return FeedbackRow(
        id=new_id(), project="p", data_id=data_id, type="rating", label="", several=False,
        value=f'"{value}"', sentiment=None, signal="explicit", user=user, subject=None, rater=user,
        source="end_user", comment=None, metadata=None, created_at=now, received_at=now, unset=False,
    )  # fmt: skip


def write_batch(store: Store, ledger: Ledger, rows: int, *, patient_s: float = 60.0) -> int:
    """Write a batch with a rating each until the store says that it has it; how often it was away."""
    batch, said, keys = [], [], []
    for number in range(rows):
        data_id = new_id()
        row = generation(data_id, f"in {number}", "o" * random.randrange(50, 900))
        keys.append(ledger.attempt(data_id, row.inputs[1:-1], row.output[1:-1]))  # type: ignore[index]
        keys.append(ledger.attempt_feedback(data_id, "rating", "good", "ann"))
        batch.append(row)
        said.append(rating(data_id, "good", "ann"))
    deadline_s = time.monotonic() + patient_s
    away = 0
    while True:
        try:
            store.write(batch, said)
            break
        except (StoreBusy, StoreUnavailable):
            away += 1
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
    ledger.acknowledge(*keys)
    return away


def fill_and_die(url: str, ledger_path: str, batches: str) -> None:
    """Write batches, some of them put into the file itself, and end as a power cut would."""
    store = open_store(url)
    ledger = Ledger(ledger_path)
    for number in range(int(batches)):
        write_batch(store, ledger, 20)
        if number == int(batches) // 2:
            connection = apsw.Connection(url.removeprefix("sqlite:///"))
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            connection.close()
    os.kill(os.getpid(), signal.SIGKILL)


def write_together(url: str, ledger_path: str, batches: str, go: str) -> None:
    """Wait for the file `go`, then open the store at once with others and write; prints how often it was away."""
    ledger = Ledger(ledger_path)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    deadline_s = time.monotonic() + 30
    while not os.path.exists(go) and time.monotonic() < deadline_s:
        time.sleep(0.001)
    store = open_store(url)
    away = sum(write_batch(store, ledger, 10) for _ in range(int(batches)))
    store.close()
    sys.stdout.write(f"{away}\n")


def write_until(url: str, ledger_path: str, stop: str, pause_s: str) -> None:
    """Write and read until the file `stop` is there; prints what callers were told besides 'away'."""
    store = open_store(url)
    if isinstance(store, SqliteStore):
        store.patience_s = 0.1  # as a recorder with a spool, which does not wait for long
    ledger = Ledger(ledger_path)
    away, told = 0, set()
    while not os.path.exists(stop):
        try:
            away += write_batch(store, ledger, 10)
            store.projects()
            time.sleep(float(pause_s))
        except (StoreBusy, StoreUnavailable):
            away += 1
        except StoreError as error:
            told.add(str(error))
    store.close()
    sys.stdout.write(f"{away} {sorted(told)}\n")


def checkpoint_until(path: str, stop: str) -> None:
    """Be the other program that puts the log away, in every way there is, in a loop."""
    connection = apsw.Connection(path)
    number = 0
    while not os.path.exists(stop):
        for mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
            try:
                connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
                number += 1
            except apsw.BusyError:
                pass
        time.sleep(0.005)
    connection.close()
    sys.stdout.write(f"{number}\n")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
