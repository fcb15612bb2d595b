"""F06: SQLite files damaged in every way: never served silently, all of it kept, and work goes on."""

from __future__ import annotations

import logging
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import figures
import pytest
import server_workers as workers
from ledger import Entries, Ledger, check, held_in_sqlite, read

from afterword.errors import StoreUnavailable
from afterword.ids import new_id
from afterword.stores import open_store

NAMES = ("store.db", "store.db-wal", "store.db-shm")
PAGE = 16_384
Damage = Callable[[Path, random.Random], None]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, workers.__file__, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Entries]:
    """Two folders, each with a file that was left open by a process that was killed."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    for folder in folders:
        process = start("fill_and_die", url_of(folder), str(folder / "ledger"), "24")
        _, told = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, told
        assert all((folder / name).stat().st_size for name in NAMES)
    return folders, read(folders[0] / "ledger")


def cut(folder: Path, draw: random.Random) -> None:
    path = folder / "store.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(draw.choice([draw.randrange(size), draw.randrange(size // PAGE) * PAGE, 0]))


def overwrite(fill: Callable[[random.Random], bytes]) -> Damage:
    def damage(folder: Path, draw: random.Random) -> None:
        path = folder / "store.db"
        with path.open("r+b") as file:
            for _ in range(draw.randrange(1, 4)):
                file.seek(draw.randrange(path.stat().st_size // PAGE) * PAGE)
                file.write(fill(draw))

    return damage


def swap(folder: Path, draw: random.Random) -> None:
    data = bytearray((folder / "store.db").read_bytes())
    one, other = (number * PAGE for number in draw.sample(range(1, len(data) // PAGE), 2))
    data[one : one + PAGE], data[other : other + PAGE] = (
        data[other : other + PAGE], data[one : one + PAGE],
    )  # fmt: skip
    (folder / "store.db").write_bytes(data)


def header(folder: Path, draw: random.Random) -> None:
    with (folder / "store.db").open("r+b") as file:
        file.seek(draw.choice([0, 16, 18, 24, 28, 32, 56, 100, 103, 105, 108]))
        file.write(draw.randbytes(4))


def lose(*names: str) -> Damage:
    def damage(folder: Path, draw: random.Random) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def stale_index(folder: Path, draw: random.Random) -> None:
    path = folder / "store.db-shm"
    path.write_bytes(draw.randbytes(path.stat().st_size))


def foreign_log_and_index(folder: Path, draw: random.Random) -> None:
    shutil.copy(folder / "other-shm", folder / "store.db-shm")
    shutil.copy(folder / "other-wal", folder / "store.db-wal")


def foreign_log(folder: Path, draw: random.Random) -> None:
    shutil.copy(folder / "other-wal", folder / "store.db-wal")


def log_of_another_program(folder: Path, draw: random.Random) -> None:
    theirs = apsw.Connection(str(folder / "theirs.db"))
    theirs.pragma("page_size", PAGE)
    theirs.pragma("journal_mode", "WAL")
    theirs.execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (zeroblob(60000))")
    theirs.execute("DELETE FROM theirs; INSERT INTO theirs VALUES (randomblob(90000))")
    shutil.copy(folder / "theirs.db-wal", folder / "store.db-wal")
    theirs.close()


DAMAGES: dict[str, Damage] = {
    "cut short": cut,
    "pages of noise": overwrite(lambda draw: draw.randbytes(PAGE)),
    "pages of zeros": overwrite(lambda draw: bytes(PAGE)),
    "pages swapped": swap,
    "header flipped": header,
    "log gone": lose("store.db-wal"),
    "file gone, log left": lose("store.db"),
    "index stale": stale_index,
    "log and index foreign": foreign_log_and_index,
    "log foreign": foreign_log,
    "log of another program": log_of_another_program,
}


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the operator is told."""
    messages: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    listener = Listener(logging.ERROR)
    logging.getLogger("afterword").addHandler(listener)
    yield messages
    logging.getLogger("afterword").removeHandler(listener)


def damaged(bases: tuple[list[Path], Entries], folder: Path, name: str, seed: int) -> None:
    """A copy of the first base, damaged."""
    folder.mkdir()
    for copied in NAMES:
        shutil.copy(bases[0][0] / copied, folder / copied)
    for ending in ("wal", "shm"):
        shutil.copy(bases[0][1] / f"store.db-{ending}", folder / f"other-{ending}")
    DAMAGES[name](folder, random.Random(seed))


def campaign(
    bases: tuple[list[Path], Entries],
    tmp_path: Path,
    told: list[str],
    mutations: int,
    run: figures.Run,
) -> None:
    for number in range(mutations):
        name = list(DAMAGES)[number % len(DAMAGES)]
        folder = tmp_path / str(number)
        damaged(bases, folder, name, number)
        before = {path.name: path.read_bytes() for path in folder.glob("store.db*")}
        told.clear()
        store = open_store(url_of(folder))
        ledger = Ledger(folder / "ledger")
        context = (name, number)
        try:
            store.open()
        except StoreUnavailable:
            # Nothing of it says any more that it is ours; then it is no other program's to lose.
            assert (folder / "store.db").read_bytes() == before["store.db"], context
            run.more["refused"] = run.more.get("refused", 0) + 1
            store.close()
            shutil.rmtree(folder)
            continue
        workers.write_batch(store, ledger, 5)
        store.close()
        again = open_store(url_of(folder))
        again.open()  # no crash loop: the next start finds it whole
        again.close()
        known = [bases[1], ledger.read()]
        found = check(known, held_in_sqlite(folder / "store.db"))
        new = check(ledger.read(), held_in_sqlite(folder / "store.db"))
        ledger.close()
        assert not (found.duplicated or found.invented or found.fault), (context, found)
        assert not new.lost, context
        if found.lost or found.altered:
            assert told, (context, len(found.lost), found.altered[:3])
            run.more["told"] = run.more.get("told", 0) + 1
        if re.search(r"kept as (\S+)", " ".join(told)):
            kept = {path.read_bytes() for path in folder.glob("*.damaged-*")}
            parts = NAMES if "All of it" in " ".join(told) else NAMES[1:2]
            assert all(before[part] in kept for part in parts if part in before), context
            run.more["set_aside"] = run.more.get("set_aside", 0) + 1
        # What was in a damaged file is set aside, so it is not lost; what is new may not be.
        run.loops += 1
        run.attempted += new.attempted
        run.acknowledged += new.acknowledged
        run.lost += len(new.lost)
        run.duplicated += len(found.duplicated)
        shutil.rmtree(folder)


def test_f06_damaged_files_are_told_of_kept_and_replaced(
    bases: tuple[list[Path], Entries], tmp_path: Path, told: list[str]
) -> None:
    with figures.run("F06", seed=0) as run:
        campaign(bases, tmp_path, told, 5 * len(DAMAGES), run)


@pytest.mark.long
def test_f06_damaged_files_are_told_of_kept_and_replaced_over_and_over(
    bases: tuple[list[Path], Entries], tmp_path: Path, told: list[str]
) -> None:
    with figures.run("F06 long", seed=0) as run:
        campaign(bases, tmp_path, told, 40 * len(DAMAGES), run)


@pytest.mark.parametrize("name", ["pages of noise", "log foreign"])
def test_f06_processes_that_start_at_once_agree_on_what_is_damaged(
    bases: tuple[list[Path], Entries], tmp_path: Path, name: str
) -> None:
    with figures.run(f"F06 together, {name}", seed=1) as run:
        folder = tmp_path / "together"
        damaged(bases, folder, name, 1)
        go = str(folder / "go")
        processes = [
            start("write_together", url_of(folder), str(folder / "ledger"), "10", go)
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        Path(go).touch()
        errors = [process.communicate(timeout=60)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, errors
        held = held_in_sqlite(folder / "store.db")
        result = run.add(check(read(folder / "ledger"), held))
        assert not (result.lost or result.duplicated or result.altered or result.fault), result
        assert sum("damaged-" in error for error in errors) == 1, errors
        endings = [path.name.rpartition("Z")[2] for path in folder.glob("*.damaged-*")]
        assert len(endings) == len(set(endings)), endings
        run.more["set_aside"] = len(endings)


def test_f06_a_file_of_another_program_or_a_newer_version_is_left_as_it_is(
    bases: tuple[list[Path], Entries], tmp_path: Path
) -> None:
    for number, statement in enumerate(("PRAGMA user_version = 99", "PRAGMA application_id = 7")):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in NAMES:
            shutil.copy(bases[0][0] / name, folder / name)
        edit = apsw.Connection(str(folder / "store.db"))
        edit.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        edit.execute(statement)
        edit.close()
        before = {name: (folder / name).read_bytes() for name in NAMES[:2]}
        for _ in range(2):
            store = open_store(url_of(folder))
            with pytest.raises(Exception, match="another program|newer version"):
                store.write([workers.generation(new_id(), "in", "out")], [])
            store.close()
        assert {name: (folder / name).read_bytes() for name in NAMES[:2]} == before
        assert list(folder.glob("*.damaged-*")) == []
