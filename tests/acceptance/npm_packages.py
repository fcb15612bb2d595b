"""Packages of the npm registry that the machine is set up for, fetched once a test run."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

TIMEOUT_S = 300


def npm(*arguments: str, cwd: Path) -> str:
    """What npm says; a test without npm, or out of its registry's reach, fails and says so."""
    found = shutil.which("npm")
    if found is None:
        pytest.fail("this test needs npm on the PATH: install your system's npm package")
    done = subprocess.run(
        [found, "--silent", "--no-audit", "--no-fund", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(f"npm {' '.join(arguments)} failed: {done.stderr[-500:] or done.stdout[-500:]}")
    return done.stdout


def packed(name: str, folder: Path) -> Path:
    """The unpacked files of a package, without what it depends on."""
    archive = folder / npm("pack", name, cwd=folder).split()[-1]
    with tarfile.open(archive) as files:
        # Python has had the filter since 3.11.4.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        files.extractall(folder / archive.stem, **safely)  # type: ignore[arg-type]
    return folder / archive.stem / "package"
