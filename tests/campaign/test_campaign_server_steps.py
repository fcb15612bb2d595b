"""F03, F27: killed at each step of making, migrating, writing and checkpointing a file; two versions at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import apsw
import figures
import pytest
import server_steps
import server_workers as workers
from ledger import Ledger, check, held_in_sqlite

from afterword.stores import open_store
from afterword.stores.sql import migrations

NEWEST = len(migrations("sqlite"))


@pytest.mark.parametrize("scenario", ["new", "old"])
def test_f03_killed_at_each_step_on_disk_the_next_start_is_clean(
    tmp_path: Path, scenario: str
) -> None:
    with figures.run(f"F03 {scenario} file") as run:
        done = subprocess.run(
            [sys.executable, server_steps.__file__, "die_at_each_step", scenario, str(tmp_path)],
            capture_output=True, text=True, timeout=110,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        steps = int(done.stdout)
        assert steps > 50
        for number in range(1, steps + 1):
            folder = tmp_path / str(number)
            ledger = Ledger(folder / "ledger")
            store = open_store(f"sqlite:///{folder / 'store.db'}")
            if scenario == "old":
                for row in range(50):
                    key = ledger.attempt(f"old-{row}", "i" * 300, "o")
                    ledger.acknowledge(key)
            workers.write_batch(store, ledger, 2)
            assert store.facts()["schema"] == str(NEWEST)
            assert "damaged, set aside" not in store.facts()
            store.close()
            run.add(check(ledger.read(), held_in_sqlite(folder / "store.db"))).require(number)
            ledger.close()


OLDER = """
import sys
sys.path.append(sys.argv[1])
import server_workers as workers
from ledger import Ledger
from afterword.stores import open_store, sqlite_files
known = sqlite_files.migrations("sqlite")
sqlite_files.migrations = lambda dialect: known[:int(sys.argv[4])]
store = open_store(sys.argv[2])
ledger = Ledger(sys.argv[3])
try:
    store.open()
    print("open", flush=True)
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
    sys.exit(0)
for line in sys.stdin:
    try:
        ids = [workers.new_id() for _ in range(5)]
        connection = store._write_connection()
        connection.execute("BEGIN IMMEDIATE")
        for data_id in ids:
            ledger.attempt(data_id, "i", "o")
            connection.execute(
                "INSERT INTO generations (id, project, status, created_at, inputs, output)"
                " VALUES (?, 'p', 'ok', 1, '\\"i\\"', '\\"o\\"')", (data_id,))
        connection.execute("COMMIT")
        ledger.acknowledge(*[f"generation {data_id}" for data_id in ids])
        print("wrote", flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
"""


def older(folder: Path, version: int) -> subprocess.Popen[str]:
    """A process of an older version, which writes a batch for each line it is sent."""
    url, ledger = f"sqlite:///{folder / 'store.db'}", str(folder / "ledger")
    command = [
        sys.executable, "-c", OLDER, str(Path(__file__).parent), url, ledger, str(version),
    ]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str], line: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_f27_an_older_version_refuses_a_newer_file_byte_for_byte_unchanged(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    workers.write_batch(store, ledger, 20)
    with figures.run("F27 refused") as run:
        for is_open in (True, False):
            if not is_open:
                store.close()
            before = {path.name: path.read_bytes() for path in tmp_path.glob("store.db*")}
            for version in range(1, NEWEST):
                process = older(tmp_path, version)
                assert told(process).startswith("StoreTooNew: ")
                process.communicate(timeout=30)
                run.loops += 1
            after = {path.name: path.read_bytes() for path in tmp_path.glob("store.db*")}
            for name in before:
                assert name.endswith("-shm") or before[name] == after[name], name
        run.add(check(ledger.read(), held_in_sqlite(tmp_path / "store.db"))).require()
    ledger.close()


def test_f27_an_older_version_that_has_the_file_open_loses_nothing_when_a_newer_one_comes(
    tmp_path: Path,
) -> None:
    with figures.run("F27 at once") as run:
        process = older(tmp_path, 1)
        assert told(process) == "open"
        assert told(process, "write") == "wrote"
        ledger = Ledger(tmp_path / "ledger")
        store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
        assert store.facts()["schema"] == str(NEWEST)
        for _ in range(10):
            assert told(process, "write") == "wrote"
            workers.write_batch(store, ledger, 3)
        process.communicate(timeout=30)
        assert process.returncode == 0
        again = older(tmp_path, 1)
        assert told(again).startswith("StoreTooNew: ")
        again.communicate(timeout=30)
        store.close()
        run.add(check(ledger.read(), held_in_sqlite(tmp_path / "store.db"))).require()
        ledger.close()


def test_f26_files_of_every_version_come_up_to_date_with_all_they_held(tmp_path: Path) -> None:
    with figures.run("F26") as run:
        for version in range(1, NEWEST + 1):
            folder = tmp_path / str(version)
            folder.mkdir()
            process = older(folder, version)
            assert told(process) == "open"
            for _ in range(5):
                assert told(process, "write") == "wrote"
            process.communicate(timeout=30)
            ledger = Ledger(folder / "ledger")
            store = open_store(f"sqlite:///{folder / 'store.db'}")
            workers.write_batch(store, ledger, 3)
            store.close()
            run.add(check(ledger.read(), held_in_sqlite(folder / "store.db"))).require()
            ledger.close()
        newest = schema(tmp_path / str(NEWEST) / "store.db")
        assert all(
            schema(tmp_path / str(version) / "store.db") == newest
            for version in range(1, NEWEST + 1)
        )


def schema(path: Path) -> list[str]:
    connection = apsw.Connection(str(path))
    found = [str(row) for row in connection.execute("SELECT type, name, sql FROM sqlite_schema")]
    connection.close()
    return sorted(found)
