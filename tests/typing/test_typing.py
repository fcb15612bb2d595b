"""mypy and pyright, both strict, see the declared types behind the decorator, and only the wrong calls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

FIXTURE = Path(__file__).with_name("callable_kinds.py")
ROOT = FIXTURE.parents[2]
WRONG = {
    number
    for number, line in enumerate(FIXTURE.read_text("utf-8").splitlines(), start=1)
    if line.endswith("# expect: error")
}


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.stdout


def test_the_fixture_has_wrong_calls() -> None:
    assert len(WRONG) > 5


def test_mypy_finds_exactly_the_wrong_calls() -> None:
    out = run("mypy", "--strict", "--no-error-summary", "--no-incremental", str(FIXTURE))
    found = re.findall(r"callable_kinds\.py:(\d+): error", out)
    assert {int(number) for number in found} == WRONG, out


def test_pyright_finds_exactly_the_wrong_calls() -> None:
    out = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(FIXTURE))
    report = json.loads(out)
    errors = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    lines = {one["range"]["start"]["line"] + 1 for one in errors}
    assert lines == WRONG, json.dumps(errors, indent=1)
