"""F02: the server is killed while four clients post to it. What was answered with 200 is stored, once."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import figures
import pytest
from ledger import Ledger, check, held_in_sqlite, read
from server_load import posting, server

CLIENTS = 4


def kill_over_and_over(folder: Path, loops: int, seed: int, run: figures.Run) -> None:
    """Kill one server after the other on one file, which is compared with the ledger in the end."""
    draw = random.Random(seed)
    ledger = Ledger(folder / "ledger")
    acknowledged = threading.Event()
    with server(f"sqlite:///{folder / 'served.db'}") as served:
        with posting([served.port], ledger, CLIENTS, acknowledged) as posters:
            for _ in range(loops):
                acknowledged.clear()
                served.start()
                assert acknowledged.wait(60), served.errors()
                time.sleep(draw.uniform(0.02, 0.4))
                assert served.end(signal.SIGKILL) == -signal.SIGKILL
                run.loops += 1
            served.start()
            served.wait_until_ready()
        assert [poster.problems for poster in posters] == [[]] * CLIENTS
        assert served.end(signal.SIGTERM) == 0
        said = served.errors()
    assert "Traceback" not in said
    assert "damaged" not in said
    ledger.close()
    result = check(read(folder / "ledger"), held_in_sqlite(folder / "served.db"))
    run.attempted += result.attempted
    run.acknowledged += result.acknowledged
    run.lost += len(result.lost)
    run.duplicated += len(result.duplicated)
    run.more["sent_again"] = run.more.get("sent_again", 0) + sum(p.duplicates for p in posters)
    result.require(seed)
    # Every client saw its last batch through, so all that was attempted is there.
    assert result.attempted == result.acknowledged == result.stored


def test_f02_a_server_that_is_killed_has_kept_what_it_answered_for(tmp_path: Path) -> None:
    with figures.run("F02", seed=2) as run:
        kill_over_and_over(tmp_path, 15, 2, run)


@pytest.mark.long
def test_f02_a_server_that_is_killed_500_times_has_kept_what_it_answered_for(
    tmp_path: Path,
) -> None:
    with figures.run("F02 long", seed=100) as run:
        for number in range(20):
            folder = tmp_path / str(number)
            folder.mkdir()
            kill_over_and_over(folder, 25, 100 + number, run)
