"""Every example runs on its own and says what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))

#: Gradio's queue asks pandas for what that deprecates, and Gradio leaves an event loop open.
OTHERS_WARNINGS = {"gradio_app": ("ignore::DeprecationWarning", "ignore::ResourceWarning")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(example: Path, tmp_path: Path) -> None:
    filters = ("error", *OTHERS_WARNINGS.get(example.stem, ()))
    options = [part for found in filters for part in ("-W", found)]
    done = subprocess.run(
        [sys.executable, *options, str(example)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not done.stderr.strip()


def test_the_quickstart_is_short() -> None:
    quickstart = next(path for path in EXAMPLES if path.stem == "quickstart")
    assert len(quickstart.read_text("utf-8").splitlines()) < 25
