"""F05: spools that were damaged. Every start succeeds, what is whole is delivered, what is not is set aside."""

from __future__ import annotations

from pathlib import Path

import figures
import pytest
import worker_runs

#: Of a kind of damage, every so many bytes: few for each merge, all of them in the long run.
QUICK = {"truncated": 1, "flipped": 61, "zeroed": 7, "garbage": 1}


def damage(folder: Path, kind: str, step: int) -> None:
    with figures.run(f"F05 {kind}") as run:
        (found,) = worker_runs.told(
            worker_runs.run("damage.py", kind, folder, step, timeout_s=1_700)
        )
        run.loops = found["cases"]
        run.attempted = found["cases"] * found["records"]
        run.more.update(found)
        assert found["size_bytes"] >= 64_000
        assert found["cases"] > 10


@pytest.mark.parametrize("kind", QUICK)
def test_f05_every_start_on_a_damaged_spool_delivers_what_is_whole(
    tmp_path: Path, kind: str
) -> None:
    damage(tmp_path, kind, QUICK[kind])


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", ["flipped", "zeroed"])
def test_f05_a_bit_flipped_in_every_byte_and_every_tail_of_zeros(tmp_path: Path, kind: str) -> None:
    damage(tmp_path, kind, 1)
