"""F37, F51, F52: threads of ours that die, signal handlers and finalisers that call us, clocks that jump."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import figures
import pytest
import worker_runs
from ledger import check, held_in_sqlite, read
from processes import ServerProcess


def go(
    scenario: str, folder: Path, count: int, server: ServerProcess | None, run: figures.Run
) -> dict[str, Any]:
    """Run a scenario, and compare what it says with what is stored."""
    database = folder / "store.db" if server is None else server.database
    project = re.sub(r"\W+", "-", folder.name)
    done = worker_runs.run(
        "threads.py", scenario, folder, count, timeout_s=count + 100,
        AFTERWORD_URL=f"sqlite:///{database}" if server is None else server.url,
        AFTERWORD_PROJECT=project, AFTERWORD_SPOOL=str(folder / "spool"),
    )  # fmt: skip
    (found,) = worker_runs.told(done)
    result = run.add(check(read(folder / "ledger"), held_in_sqlite(database, project))).require()
    assert result.acknowledged == result.attempted == result.stored
    run.more.update(found)
    return dict(found)


def test_f51_threads_of_ours_that_die_are_there_again_at_once(
    tmp_path: Path, server: ServerProcess
) -> None:
    with figures.run("F51 threads die") as run:
        found = go("dying", tmp_path, 1, server, run)
        assert found["deaths"] == 30
        # After a fault of its own the sender rests for a second.
        assert found["longest_s"] < 3.0


@pytest.mark.parametrize("store", ["sqlite", "server"])
@pytest.mark.parametrize(
    "seconds", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)
def test_f52_signal_handlers_and_finalisers_may_capture_and_rate_at_any_moment(
    tmp_path: Path, server: ServerProcess, store: str, seconds: int
) -> None:
    with figures.run(f"F52 re-entrancy, {store}") as run:
        found = go("reentrant", tmp_path, seconds, server if store == "server" else None, run)
        assert found["signal"] > 50
        assert found["finaliser"] > 20
        assert found["main"] > 50


@pytest.mark.parametrize("store", ["sqlite", "server"])
def test_f37_a_clock_that_jumps_loses_nothing_and_shortens_no_call(
    tmp_path: Path, server: ServerProcess, store: str
) -> None:
    with figures.run(f"F37 clock jumps, {store}") as run:
        found = go("clocks", tmp_path, 50, server if store == "server" else None, run)
        assert found["ids"] == 300
