"""F28, F30, F31: programs that fork. Parent and child deliver their own, each once, and nobody hangs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import figures
import pytest
import worker_runs
from ledger import Result, check, held_in_sqlite, read
from processes import ServerProcess


class Ground:
    """A store for forking programs, and what they say they did."""

    def __init__(self, folder: Path, server: ServerProcess | None) -> None:
        self.folder = folder
        self.store = "sqlite" if server is None else "server"
        self.database = folder / "store.db" if server is None else server.database
        url = f"sqlite:///{self.database}" if server is None else server.url
        self.project = "p" if server is None else re.sub(r"\W+", "-", folder.name)
        self._settings = {
            "AFTERWORD_URL": url,
            "AFTERWORD_PROJECT": self.project,
            "AFTERWORD_SPOOL": str(folder / "spool"),
        }

    def run(self, scenario: str, count: int, durability: str = "normal") -> dict[str, Any]:
        done = worker_runs.run(
            "fork_loops.py", scenario, self.folder, count,
            AFTERWORD_DURABILITY=durability, **self._settings,
        )  # fmt: skip
        (found,) = worker_runs.told(done)
        assert found["codes"] == [0] * count, done.stderr
        return dict(found)

    def result(self, run: figures.Run) -> Result:
        """What came of it, once the next program has taken what was left in the spool."""
        worker_runs.told(worker_runs.run("drain.py", self.folder / "spool", **self._settings))
        entries = read(self.folder / "ledger")
        return run.add(check(entries, held_in_sqlite(self.database, self.project))).require()


@pytest.fixture(params=["sqlite", "server"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    server = request.getfixturevalue("server") if request.param == "server" else None
    return Ground(tmp_path, server)


FORKS = [50, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(900)])]


@pytest.mark.parametrize("forks", FORKS)
def test_f28_a_fork_while_threads_write_loses_nothing_and_hangs_nobody(
    ground: Ground, forks: int
) -> None:
    with figures.run(f"F28 fork, {ground.store}", forks=forks) as run:
        ground.run("while_writing", forks)
        result = ground.result(run)
        assert result.acknowledged == result.attempted == result.stored > forks * 21


def test_f28_a_fork_while_a_lock_of_ours_is_held_does_not_leave_the_child_waiting(
    ground: Ground,
) -> None:
    with figures.run(f"F28 locks held, {ground.store}", forks=7) as run:
        ground.run("in_locks", 7)
        result = ground.result(run)
        assert result.acknowledged == result.attempted == result.stored


@pytest.mark.parametrize("durability", ["strict", "normal"])
def test_f30_children_that_end_at_once_after_their_records_have_delivered_them(
    ground: Ground, durability: str
) -> None:
    how = "strict" if durability == "strict" else "normal, flushed"
    with figures.run(f"F30 os._exit, {how}, {ground.store}") as run:
        ground.run("short_lives", 15, durability)
        result = ground.result(run)
        assert result.acknowledged == result.attempted == result.stored


def test_f30_without_a_flush_only_what_is_younger_than_the_window_may_be_gone(
    tmp_path: Path,
) -> None:
    ground = Ground(tmp_path, None)
    with figures.run("F30 os._exit, normal, unflushed") as run:
        ground.run("unflushed", 20)
        result = ground.result(run)
        run.more["forgone"] = len(result.forgone)
        assert result.stored + len(result.forgone) == 20


@pytest.mark.parametrize("durability", ["strict", "normal"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_f31_processes_of_multiprocessing_and_of_pools_deliver_their_own(
    ground: Ground, method: str, durability: str
) -> None:
    with figures.run(f"F31 {method}, {durability}, {ground.store}") as run:
        ground.run(method, 2, durability)
        result = ground.result(run)
        assert result.acknowledged == result.attempted == result.stored == 1 + 4 * 21
