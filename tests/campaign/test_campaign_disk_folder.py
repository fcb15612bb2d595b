"""F11, S27: spool folders that are missing, read-only, removed, links, somebody else's or anybody's."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import figures
import pytest
import worker_runs

#: Nobody, and somebody else. Without root's powers both are whoever runs the tests.
USER, OTHER = (65_534, 65_533) if os.geteuid() == 0 else (os.geteuid(), os.geteuid())
UNREACHABLE = "http://127.0.0.1:9"
RECORDS = 30


def owned(path: Path, mode: int, owner: int = USER) -> Path:
    path.mkdir(parents=True)
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, owner, owner)
    return path


def missing(spool: Path) -> None:
    """It is made."""


def there(spool: Path) -> None:
    owned(spool, 0o700)


def readable(spool: Path) -> None:
    """Others may look into the folder above, and not into ours."""
    owned(spool, 0o755)


def sticky(spool: Path) -> None:
    """As /tmp is: others may add files, and not remove ours."""
    owned(spool, 0o1777, OTHER)


def read_only(spool: Path) -> None:
    owned(spool, 0o500)


def no_parent(spool: Path) -> None:
    """It cannot be made, as what it is to be in may not be written."""
    spool.parent.chmod(0o500)


def is_file(spool: Path) -> None:
    spool.write_bytes(b"mine")
    os.chown(spool, USER, USER)


def link(spool: Path) -> None:
    owned(spool.parent / "elsewhere", 0o700)
    spool.symlink_to("elsewhere")


def link_to_nothing(spool: Path) -> None:
    spool.symlink_to("nowhere")


def foreign(spool: Path) -> None:
    owned(spool, 0o777, OTHER)


def group_writable(spool: Path) -> None:
    owned(spool, 0o770)


def world_writable(spool: Path) -> None:
    owned(spool, 0o777)


USED: dict[str, Callable[[Path], None]] = {
    "missing": missing, "there": there, "readable": readable, "sticky": sticky,
    "removed while running": there,
}  # fmt: skip
REFUSED: dict[str, Callable[[Path], None]] = {
    "read-only": read_only, "no parent": no_parent, "a file": is_file, "a link": link,
    "a link to nothing": link_to_nothing, "another's": foreign, "group-writable": group_writable,
    "world-writable": world_writable,
}  # fmt: skip


def try_folder(case: str, tmp_path: Path, make: Callable[[Path], None]) -> tuple[Any, str]:
    """What the program said of itself, and what it told on standard error."""
    # pytest's own folders are for the one who runs it.
    for above in [*tmp_path.parents][:3]:
        above.chmod(0o711)
    tmp_path.mkdir(mode=0o711, exist_ok=True)
    tmp_path.chmod(0o711)
    base = owned(tmp_path / "base", 0o700)
    make(base / "spool")
    done = worker_runs.run(
        "folder_steps.py", case, base, USER, AFTERWORD_URL=UNREACHABLE,
        AFTERWORD_SPOOL=str(base / "spool"), AFTERWORD_PROJECT="p", HOME=str(base),
    )  # fmt: skip
    base.chmod(0o700)
    (found,) = worker_runs.told(done)
    return found, done.stderr


@pytest.mark.parametrize("case", USED)
def test_f11_a_folder_that_is_ours_alone_is_used_and_stays_ours_alone(
    tmp_path: Path, case: str
) -> None:
    with figures.run(f"F11 {case}") as run:
        found, told = try_folder(case, tmp_path, USED[case])
        run.loops = 1
        assert found["durable"]
        assert found["pending"]
        assert found["problem"] is None
        captured = (2 if case == "removed while running" else 1) * RECORDS + 1
        assert (found["captured"], found["spooled"]) == (captured, captured)
        assert "afterword: opening the spool" not in told
        modes = {name: mode for name, mode in found["modes"].items() if name != "spool"}
        assert any(name.endswith(".seg") for name in modes)
        for name, mode in modes.items():
            is_file = name.endswith((".seg", ".json"))
            assert mode == ("0o600" if is_file else "0o700"), (name, mode)


def refuse(case: str, folder: Path) -> None:
    with figures.run(f"F11 {case}") as run:
        found, told = try_folder(case, folder, REFUSED[case])
        run.loops = 1
        run.more["problem"] = found["problem"].replace(str(folder), "")
        assert not found["durable"]
        assert (found["pending"], found["refused"]) == (False, True)
        # Memory only: nothing is lost while the program lives.
        assert (found["captured"], found["buffered"]) == (RECORDS, RECORDS)
        assert told.count("afterword: opening the spool failed") == 1
        written = [path for path in folder.rglob("*") if path.suffix in (".seg", ".json")]
        assert not written


def test_f11_a_folder_that_others_could_touch_is_refused_with_one_warning(tmp_path: Path) -> None:
    # Side by side, as each of them waits for two seconds at its end for a disk that does not come.
    cases = {case: tmp_path / str(number) for number, case in enumerate(REFUSED)}
    if os.geteuid() != 0:
        del cases["another's"]  # only root can give a folder away
    with ThreadPoolExecutor(len(cases)) as pool:
        tried = {case: pool.submit(refuse, case, folder) for case, folder in cases.items()}
    assert {case: str(done.exception()) for case, done in tried.items() if done.exception()} == {}


def test_s27_segments_that_are_links_or_another_users_are_left_alone(tmp_path: Path) -> None:
    with figures.run("S27 foreign segments") as run:
        found, _ = try_folder("there", tmp_path, there)
        assert found["spooled"] == RECORDS + 1
        (segment,) = (tmp_path / "base" / "spool").rglob("*.seg")
        body = segment.read_bytes()
        victim = tmp_path / "base" / "victim.seg"
        victim.write_bytes(body)
        (segment.parent / "0-link.seg").symlink_to(victim)
        (segment.parent / "0-folder.seg").mkdir()
        os.mkfifo(segment.parent / "0-pipe.seg")
        foreign_one = segment.parent / "0-foreign.seg"
        foreign_one.write_bytes(body)
        foreign_one.chmod(0o666)
        if os.geteuid() == 0:
            os.chown(victim, USER, USER)
            os.chown(foreign_one, OTHER, OTHER)
        again, told = try_again(tmp_path)
        run.loops = 1
        # Its own records and those of the one segment that is its user's, and no others.
        mine = 2 if os.geteuid() == 0 else 3
        assert again["captured"] == mine * (RECORDS + 1)
        assert victim.read_bytes() == body
        assert foreign_one.exists() == (os.geteuid() == 0)
        assert stat.S_ISFIFO((segment.parent / "0-pipe.seg").lstat().st_mode)
        assert "Traceback" not in told


def try_again(tmp_path: Path) -> tuple[Any, str]:
    base = tmp_path / "base"
    done = worker_runs.run(
        "folder_steps.py", "again", base, USER, AFTERWORD_URL=UNREACHABLE,
        AFTERWORD_SPOOL=str(base / "spool"), AFTERWORD_PROJECT="p", HOME=str(base),
    )  # fmt: skip
    (found,) = worker_runs.told(done)
    return found, done.stderr
