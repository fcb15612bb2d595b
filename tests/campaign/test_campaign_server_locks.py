"""F25, F32, F71: writers in each other's way, locks held by strangers, erasure racing what comes late."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import figures
import pytest
import server_workers as workers
from ledger import check, held_in_sqlite, read
from server_load import post, server

sys.path.append(str(Path(__file__).parents[1]))

from afterword.ids import new_id  # noqa: E402
from afterword.stores import Store, open_store, sqlite  # noqa: E402
from afterword.stores.protocol import Query  # noqa: E402
from afterword.stores.rows import GenerationRow  # noqa: E402
from postgres_server import new_database  # noqa: E402

URLS: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:///{folder / 'store.db'}",
    "postgresql": lambda folder: new_database(),
}


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, workers.__file__, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def soak(
    folder: Path, run: figures.Run, *, seconds: float, exclusive_s: float, pause_s: float = 0.002
) -> None:
    """Two writers, a reader that pins the log, another program's checkpoints, and one that locks all."""
    path, stop = folder / "store.db", folder / "stop"
    url = f"sqlite:///{path}"
    open_store(url).open()
    writers = [
        start("write_until", url, str(folder / "ledger"), str(stop), str(pause_s)) for _ in range(2)
    ]
    checkpointer = start("checkpoint_until", str(path), str(stop))
    pinned, locker = apsw.Connection(str(path)), apsw.Connection(str(path))
    pinned.execute("BEGIN")
    pinned.execute("SELECT count(*) FROM generations").fetchall()
    locker.set_busy_timeout(10_000)
    deadline_s = time.monotonic() + seconds
    looks = 0
    while time.monotonic() < deadline_s:
        time.sleep(seconds / 12)
        if looks == 6:
            pinned.execute("COMMIT")
        locker.execute("BEGIN EXCLUSIVE")
        time.sleep(exclusive_s)
        locker.execute("ROLLBACK")
        assert locker.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        looks += 1
    stop.touch()
    ended = [process.communicate(timeout=60) for process in (*writers, checkpointer)]
    said = [line for _, error in ended for line in error.splitlines()]
    assert [line for line in said if "a reader that does not end holds it back" not in line] == []
    pinned.close()
    locker.close()
    for told, _ in ended[:2]:
        away, _, others = told.strip().partition(" ")
        assert others == "[]", others  # callers hear that the store is busy, and nothing else
        run.more["busy"] = run.more.get("busy", 0) + int(away)
    run.more.update(integrity_checks=looks, checkpoints=int(ended[2][0]))
    run.add(check(read(folder / "ledger"), held_in_sqlite(path))).require()


def test_f32_writers_a_pinned_log_checkpoints_and_exclusive_locks_lose_nothing(
    tmp_path: Path,
) -> None:
    with figures.run("F32") as run:
        soak(tmp_path, run, seconds=3.0, exclusive_s=0.2)


@pytest.mark.long
def test_f32_for_30_minutes_with_locks_of_30_seconds(tmp_path: Path) -> None:
    with figures.run("F32 long") as run:
        soak(tmp_path, run, seconds=1_500.0, exclusive_s=30.0, pause_s=0.2)


def test_f32_a_log_that_a_reader_holds_back_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "LOG_BYTES", 2_000_000)
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    store.open()
    reader = apsw.Connection(f"{tmp_path}/store.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM generations").fetchall()
    row = GenerationRow(id="a", project="p", created_at=1, output=f'"{"x" * 20_000}"')
    for _ in range(300):
        row.id = new_id()
        store.write([row], [])
    reader.execute("COMMIT")
    reader.close()
    store.close()
    told = [entry.getMessage() for entry in caplog.records if "has grown" in entry.getMessage()]
    assert len(told) == 1


def test_f25_one_id_with_many_bodies_keeps_the_first_on_every_server(tmp_path: Path) -> None:
    """Two servers on one file, eight clients, each ID posted by all of them with a body of its own."""
    url, ids = URLS["sqlite"](tmp_path), [f"shared-{number}" for number in range(40)]
    answers: list[dict[str, object]] = []
    kept: dict[str, list[str]] = {}
    with figures.run("F25") as run, server(url) as one, server(url) as other:
        for served in (one, other):
            served.start()
        for served in (one, other):
            served.wait_until_ready()
        barrier = threading.Barrier(8)

        def ask(client: int) -> None:
            port = (one, other)[client % 2].port
            barrier.wait(30)
            for data_id in ids:
                body = {"generations": [{"id": data_id, "output": f"client {client}"}]}
                status, answer = post(port, "POST", "/api/v1/generations", body)
                assert status == 200
                answers.append(answer)
                found = post(port, "GET", f"/api/v1/generations/{data_id}")[1]
                kept.setdefault(data_id, []).append(str(found["output"]))

        clients = [threading.Thread(target=ask, args=(client,)) for client in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60)
        run.loops, run.attempted, run.acknowledged = len(ids), 8 * len(ids), len(answers)
    assert len(answers) == 8 * len(ids)
    # Whoever read it after their own post read the same as all others.
    assert all(len(set(outputs)) == 1 for outputs in kept.values()), kept
    for data_id in ids:
        named = sum(data_id in answer.get("conflicts", ()) for answer in answers)  # type: ignore[operator]
        assert named == 7, data_id  # all but the one whose body is kept


def late_rows(users: int, at: int) -> list[tuple[str, list[GenerationRow]]]:
    """For each user what is on its way: a generation begun, ended, and one more."""
    rows = []
    for number in range(users):
        user = f"user {number}"
        one, other = new_id(), new_id()
        rows.append(
            (
                user,
                [
                    workers.generation(one, "in", "", status="running", created_at=at, user=user),
                    workers.generation(one, "in", "out", created_at=at, user=user),
                    workers.generation(other, "in", "out", created_at=at, user=user),
                ],
            )
        )
    return rows


@pytest.mark.parametrize("kind", URLS)
def test_f71_an_erased_user_stays_erased_whatever_races_the_erasure(
    tmp_path: Path, kind: str
) -> None:
    url = URLS[kind](tmp_path)
    stores: list[Store] = [open_store(url) for _ in range(3)]
    at = time.time_ns() // 1_000 - 10_000_000
    users = late_rows(250, at)
    with figures.run(f"F71 {kind}") as run:
        turn = threading.Barrier(3)

        def write(store: Store, order: int) -> None:
            for user, rows in users:
                turn.wait(60)
                for row in rows[:: 1 if order else -1]:
                    said = workers.rating(row.id, "good", user)
                    said.created_at = said.received_at = at + 1
                    store.write([row], [said])

        writers = [
            threading.Thread(target=write, args=(store, order))
            for order, store in enumerate(stores[:2])
        ]
        for writer in writers:
            writer.start()
        for user, _ in users:
            turn.wait(60)
            stores[2].erase(user)
            run.loops += 1
        for writer in writers:
            writer.join(60)
        for _, rows in users:  # and all of it once more, as from a spool that was away
            stores[0].write(rows, [])
        left = stores[0].generations(Query(limit=500))
        said = stores[0].history([row.id for _, rows in users for row in rows])
        run.attempted = sum(len(rows) for _, rows in users)
        run.more["risen"] = len(left) + len(said)
        assert (left, said) == ([], [])
        after = workers.generation(new_id(), "in", "new", user="user 0")
        stores[1].write([after], [])  # what the user does later is kept
        assert [row.id for row in stores[0].generations(Query())] == [after.id]
    for store in stores:
        store.close()
