"""F03: a program ends at each named place in the delivery code. The next one starts clean and loses nothing."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import figures
import worker_runs

import afterword

SOURCES = Path(afterword.__file__).parent
TIMES = 3


def places() -> set[str]:
    """The names of all places where a program may be ended."""
    found: set[str] = set()
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "failpoint"
            ):
                (name,) = node.args
                assert isinstance(name, ast.Constant), f"{path} computes the name of a failpoint"
                found.add(str(name.value))
    return found


def test_f03_a_program_may_end_at_every_named_place(tmp_path: Path) -> None:
    names = sorted(places())
    assert len(names) >= 8
    with figures.run("F03 failpoints", failpoints=len(names)) as run:
        found = worker_runs.told(worker_runs.run("failpoint_loops.py", tmp_path, *names))
        run.loops = len(found)
        run.attempted = sum(loop["attempted"] for loop in found)
        run.acknowledged = sum(loop["acknowledged"] for loop in found)
        assert len(found) == len(names) * TIMES
        survived = [loop["armed"] for loop in found if not loop["killed"]]
        assert not survived, "these places are never come by, or not three times"


def test_f03_the_environment_names_a_place(tmp_path: Path) -> None:
    script = "import afterword; c = afterword.Client(durability='strict'); c.store.open(); "
    script += "c.recorder.spool.append([], sync=False); print('still here')"
    settings = {
        "AFTERWORD_URL": f"sqlite:///{tmp_path / 'store.db'}",
        "AFTERWORD_FAILPOINT": "spool.appended:1",
    }
    for name, code in (("spool.appended:1", -signal.SIGKILL), ("spool.appended:2", 0)):
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            env={**os.environ, **settings, "AFTERWORD_FAILPOINT": name},
        )
        assert done.returncode == code, done.stderr
