"""A process that dies at its n-th step on disk, for each n: what `test_campaign_server_steps` runs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

sys.path.append(str(Path(__file__).parent))

import server_workers as workers  # noqa: E402
from ledger import Ledger  # noqa: E402

from afterword.stores import open_store, sqlite_files  # noqa: E402
from afterword.stores.sql import migrations  # noqa: E402

MOST_STEPS = 600


class Steps:
    """Counts what is done to files, and ends the process in the middle of the n-th."""

    def __init__(self, last: int) -> None:
        self._left = last

    def take(self, torn: Callable[[], object] | None = None) -> None:
        self._left -= 1
        if self._left == 0:
            if torn is not None:
                torn()
            os.kill(os.getpid(), signal.SIGKILL)


class File(apsw.VFSFile):
    """A file each write, sync and cut of which is a step."""

    def __init__(self, name: Any, flags: list[int], steps: Steps) -> None:
        super().__init__("unix", name, flags)
        self._steps = steps

    def xWrite(self, data: bytes, offset: int) -> None:
        half = data[: len(data) // 2]
        self._steps.take(lambda: super(File, self).xWrite(half, offset))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._steps.take()
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:
        self._steps.take()
        super().xTruncate(size)


class Disk(apsw.VFS):
    """The files of SQLite, all of them counted."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        super().__init__("stepping", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return File(name, flags, self._steps)

    def xDelete(self, name: str, sync: bool) -> None:
        self._steps.take()
        super().xDelete(name, sync)


def work(folder: Path) -> None:
    """Open and bring up to date, write, put the log away, write again, close."""
    store = open_store(f"sqlite:///{folder / 'store.db'}")
    ledger = Ledger(folder / "ledger")
    store.open()
    workers.write_batch(store, ledger, 3)
    connection = store._write_connection()  # type: ignore[attr-defined]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    workers.write_batch(store, ledger, 3)
    store.erase("nobody")
    store.close()


def make_old(folder: Path) -> None:
    """A file of the first version, with something in it, that was not closed."""
    known = migrations("sqlite")
    sqlite_files.migrations = lambda dialect: known[:1]  # type: ignore[assignment]
    connection = sqlite_files.open_writer(str(folder / "store.db"), lambda tries: False)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    for number in range(50):
        values = (f"old-{number}", "p", "ok", 1_000 + number, f'"{"i" * 300}"', '"o"')
        connection.execute(
            "INSERT INTO generations (id, project, status, created_at, inputs, output)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            values,
        )
    connection.close()
    sqlite_files.migrations = lambda dialect: known  # type: ignore[assignment]


def die_at_each_step(scenario: str, folder: str) -> None:
    """In a process each, take one step more; prints how many there are."""
    base = Path(folder) / "base"
    base.mkdir()
    if scenario == "old":
        made = os.fork()
        if made == 0:
            make_old(base)
            os._exit(0)
        assert os.waitpid(made, 0)[1] == 0
    for last in range(1, MOST_STEPS):
        place = Path(folder) / str(last)
        shutil.copytree(base, place)
        child = os.fork()
        if child == 0:
            steps = Steps(last)
            disk = Disk(steps)
            rename = os.rename
            os.rename = lambda old, new: (steps.take(), rename(old, new))[1]  # type: ignore[assignment]
            work(place)
            del disk
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended in (0, -signal.SIGKILL), ended
        if ended == 0:
            sys.stdout.write(f"{last - 1}\n")
            return
    raise AssertionError("there is no end of steps")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
