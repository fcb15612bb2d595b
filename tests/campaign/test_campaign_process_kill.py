"""F01: a program is killed while it captures and rates. What was acknowledged is stored, once."""

from __future__ import annotations

from pathlib import Path

import figures
import pytest
import worker_runs

STORES = ("sqlite", "sqlite locked", "server up", "server down")
#: What may be lost without a promise is what the recorder has not written yet: 100 ms, and how long
#: one write takes on this machine. The slack is for machines that do not let it run at once.
WINDOW_MS, SLACK_MS = 100.0, 400.0


def kill_over_and_over(folder: Path, store: str, durability: str, loops: int, seed: int) -> None:
    with figures.run(f"F01 {store}, {durability}", seed=seed) as run:
        found = worker_runs.told(
            worker_runs.run(
                "kill_loops.py", folder, store, durability, loops, seed, timeout_s=1_500
            )
        )
        assert len(found) == loops
        # The worker has compared each loop with its ledger, and would have failed.
        run.loops = loops
        run.attempted = sum(loop["attempted"] for loop in found)
        run.acknowledged = sum(loop["acknowledged"] for loop in found)
        gone_ms = sorted(loop["gone_ms"] for loop in found)
        run.more.update(
            stored=sum(loop["stored"] for loop in found),
            forgone=sum(loop["gone"] for loop in found),
            forgone_p50_ms=round(gone_ms[loops // 2]),
            forgone_most_ms=round(gone_ms[-1]),
        )
        # A lock is waited for a second before feedback goes to the spool, and nobody lives that long.
        assert run.acknowledged > 0 or (store, durability) == ("sqlite locked", "normal")
        if durability == "strict":
            assert run.more["forgone"] == 0
        else:
            assert gone_ms[loops // 2] < WINDOW_MS
            assert gone_ms[-1] < WINDOW_MS + SLACK_MS


@pytest.mark.parametrize("durability", ["normal", "strict"])
@pytest.mark.parametrize("store", STORES)
def test_f01_a_program_that_is_killed_loses_nothing_that_it_was_told_is_safe(
    tmp_path: Path, store: str, durability: str
) -> None:
    kill_over_and_over(tmp_path, store, durability, 5, 1)


@pytest.mark.long
@pytest.mark.parametrize("durability", ["normal", "strict"])
@pytest.mark.parametrize("store", STORES)
def test_f01_a_thousand_programs_that_are_killed_lose_nothing_that_is_safe(
    tmp_path: Path, store: str, durability: str
) -> None:
    kill_over_and_over(tmp_path, store, durability, 125, 100)
