"""SQLite files as they are found: private, foreign, newer, damaged, not to be written."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
import sqlite_writers as writers

import afterword
from afterword import Client
from afterword.errors import (
    StoreBusy,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
)
from afterword.stores import open_store
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow
from afterword.stores.sqlite import SqliteStore


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file of ours with a generation in it."""
    path = tmp_path / "afterword.db"
    client = Client(url_of(path), project="main")
    client.log(data_id="kept", inputs="x" * 50_000)
    client.close()
    return path


@pytest.fixture
def permissive_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("permissive_umask")
def test_a_new_file_and_its_companions_are_private(tmp_path: Path) -> None:
    client = Client(url_of(tmp_path / "afterword.db"))
    client.feedback("d", "rating", "good")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    client.close()
    names = ("afterword.db", "afterword.db-shm", "afterword.db-wal")
    assert modes == dict.fromkeys(names, 0o600)


def test_a_relative_url_is_below_where_the_program_was_when_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = Client("sqlite:///a%20b.db")
    monkeypatch.chdir("/")
    client.feedback("d", "rating", "good")
    client.close()
    assert (tmp_path / "a b.db").exists()


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    Client(url_of(tmp_path / "afterword.db")).close()
    assert list(tmp_path.iterdir()) == []


def refuses(path: Path, error: type[StoreError], words: str) -> None:
    """Every way in refuses a file with the same error, which names it, and touches nothing."""
    before = path.read_bytes()
    client = Client(url_of(path), project="main")

    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    with pytest.raises(error, match=words) as caught:
        client.get("kept")
    assert str(path) in str(caught.value)
    with pytest.raises(error, match=words):
        client.store.open()
    with pytest.raises(error, match=words):
        client.generations()
    assert client.feedback("kept", "rating", "good").pending
    assert answer("anyway") == "ANYWAY"
    assert client.flush(20.0), "what is synced to the spool is durable"
    status = client.status()
    assert (status.captured, status.spooled, status.stored) == (2, 2, 0)
    assert status.faults > 0
    client.recorder.close(0.1)
    client.store.close()
    assert path.read_bytes() == before


def edited(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(statement)
    connection.close()


def test_a_newer_file_is_refused_unchanged(database: Path) -> None:
    edited(database, "PRAGMA user_version = 9999")
    refuses(database, StoreTooNew, "newer version of Afterword; upgrade")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE theirs (x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1",
    ],
)
def test_a_database_of_another_program_is_refused_unchanged(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "theirs.db"
    edited(path, statement)
    refuses(path, StoreUnavailable, "another program")


def test_a_file_that_is_no_database_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 500)
    refuses(path, StoreUnavailable, "damaged or no database")


def test_the_owner_of_a_store_says_how_long_it_waits_for_the_locks_of_others(
    database: Path,
) -> None:
    store = SqliteStore(url_of(database), str(database))
    store.open()
    holder = apsw.Connection(str(database))
    holder.execute("BEGIN EXCLUSIVE")
    waited_s: list[float] = []
    for patience_s in (0.0, 0.4):
        store.patience_s = patience_s
        started_s = time.monotonic()
        with pytest.raises(StoreBusy):
            store.put_alias("main", "message 7", "kept")
        waited_s.append(time.monotonic() - started_s)
    holder.execute("ROLLBACK")
    store.put_alias("main", "message 7", "kept")
    assert store.patience_s == 0.4
    store.close()
    assert waited_s[0] < 0.2 < waited_s[1] < 2
    holder.close()


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "afterword.db"
    path.touch()
    client = Client(url_of(path))
    client.feedback("d", "rating", "good")
    client.close()
    assert path.stat().st_size > 0


@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
def test_a_damaged_file_is_set_aside_as_it_is_and_a_new_one_begun(
    database: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = database.read_bytes()
    if damage == "cut short":
        damaged = whole[: len(whole) // 2]
    else:
        damaged = whole[:16_384] + b"\xa5" * (len(whole) - 16_384)
    database.write_bytes(damaged)
    client = Client(url_of(database), project="main")
    assert client.get("kept") is None
    client.feedback("kept", "rating", "good")
    aside = client.store.facts()["damaged, set aside"]
    client.close()
    assert (database.parent / aside).read_bytes() == damaged
    (told,) = [entry.getMessage() for entry in caplog.records if "damaged" in entry.getMessage()]
    assert str(database) in told
    assert aside in told
    assert Client(url_of(database), project="main").get("kept") is not None


def test_a_file_found_damaged_while_it_is_read_is_an_error_once_and_set_aside_then(
    database: Path,
) -> None:
    client = Client(url_of(database), project="main")
    client.log(data_id="later")
    assert client.flush(20)
    client.close()
    page, size = 16_384, database.stat().st_size
    store = open_store(url_of(database))
    store.open()
    assert store.generation("kept") is not None
    with database.open("r+b") as file:  # the texts of "kept" lie on pages that it does not need
        file.seek(page)
        file.write(b"\xa5" * (size - page))
    with pytest.raises(StoreUnavailable, match="damaged"):
        for number in range(50):
            store.write([GenerationRow(id=f"new-{number}", project="main", created_at=1)], [])
            store.generations(Query())
    assert store.generations(Query()) == []
    store.write([GenerationRow(id="new", project="main", created_at=1)], [])
    assert [row.id for row in store.generations(Query())] == ["new"]
    store.close()
    assert len(list(database.parent.glob("afterword.db.damaged-*"))) >= 1


def test_a_file_damaged_while_it_is_open_fails_feedback_and_keeps_the_program_going(
    database: Path,
) -> None:
    client = Client(url_of(database), project="main")
    assert client.get("kept") is not None
    with database.open("r+b") as file:
        file.write(b"\xa5" * database.stat().st_size)
    other = Client(url_of(database), project="main")
    assert other.feedback("kept", "rating", "good").pending
    other.recorder.close(0.1)
    other.store.close()
    client.close()


@pytest.mark.parametrize("place", ["missing/afterword.db", "."])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, place: str) -> None:
    store = open_store(url_of(tmp_path / place))
    with pytest.raises(StoreUnavailable, match="cannot open the database") as caught:
        store.open()
    assert str((tmp_path / place).resolve()) in str(caught.value)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody can enter and nobody but its owner can write."""
    folder = Path(tempfile.mkdtemp()).resolve()
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_may_not_be_written_is_refused_with_a_clear_error(
    public_folder: Path, what: str
) -> None:
    path = public_folder / "afterword.db"
    Client(url_of(path)).feedback("d", "rating", "good")
    for found in public_folder.iterdir():
        found.chmod(0o444 if what == "file" else 0o666)
    if what == "folder":
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        for found in public_folder.glob("*-*"):
            found.unlink()
        public_folder.chmod(0o555)
    # The superuser may write anything, so the look is taken by a process that has given that up.
    done = subprocess.run(
        [sys.executable, writers.__file__, "open_as_nobody", url_of(path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    opened, got, rated = done.stdout.splitlines()
    assert done.returncode == 0
    for answer in (opened, got):
        assert answer.startswith("StoreUnavailable: ")
        assert str(path) in answer
    assert rated.startswith(("StoreUnavailable: ", "DeliveryError: "))
    assert "Traceback" not in done.stderr
