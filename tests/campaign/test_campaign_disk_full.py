"""F08 to F10: a full disk, files that may not grow, no file descriptors. The app goes on, and all is counted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import figures
import pytest
import worker_runs

RESUMES_S = 5.0


def own_disks() -> tuple[str, ...]:
    """A command that runs another where it may mount disks that nobody else sees; none where there is none."""
    command = ("unshare", "-Urm") if os.geteuid() else ("unshare", "-m")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*command, "true"], capture_output=True)
    return command if tried.returncode == 0 else ()


def try_disk(folder: Path, trouble: str, store: str, cycles: int) -> None:
    before = own_disks() if trouble == "full" else ()
    with figures.run(f"{FAULTS[trouble]} {trouble}, {store}") as run:
        done = worker_runs.run(
            "disk_steps.py", trouble, store, folder, cycles, before=before, timeout_s=900
        )
        *found, end = worker_runs.told(done)
        assert len(found) == cycles
        run.loops = cycles
        run.attempted, run.acknowledged = end["attempted"], end["acknowledged"]
        run.more.update(
            dropped_and_counted=end["gone"],
            refused=found[-1]["refused"],
            resumed_most_s=round(max(cycle["resumed_s"] for cycle in found), 2),
            own_disk=found[0]["mounted"],
        )
        assert all(cycle["faults"] > 0 for cycle in found), "the trouble was none"
        assert all(cycle["kept_back"] > 0 for cycle in found)
        assert max(cycle["resumed_s"] for cycle in found) < RESUMES_S
        # The trouble does not last long enough for the buffer to be full.
        assert end["gone"] == 0


FAULTS = {"full": "F08", "small files": "F09", "no descriptors": "F10"}


@pytest.mark.parametrize("store", ["sqlite", "server"])
@pytest.mark.parametrize("trouble", FAULTS)
def test_a_disk_that_gives_out_harms_no_caller_and_is_used_again_soon(
    tmp_path: Path, trouble: str, store: str
) -> None:
    try_disk(tmp_path, trouble, store, 2)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("store", ["sqlite", "server"])
def test_f08_fifty_times_over(tmp_path: Path, store: str) -> None:
    try_disk(tmp_path, "full", store, 50)
