"""How the campaigns of processes and disks start their workers, each an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "workers"
TIMEOUT_S = 100.0


def command(script: str, *arguments: object) -> list[str]:
    """Hung programs show their stacks: that is what faulthandler is for."""
    return [
        sys.executable, "-X", "faulthandler", str(WORKERS / script), *map(str, arguments),
    ]  # fmt: skip


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, **settings}


def run(
    script: str,
    *arguments: object,
    timeout_s: float = TIMEOUT_S,
    before: Sequence[str] = (),
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """Run a worker to its end. `before` is a command that starts it in a world of its own."""
    return subprocess.run(
        [*before, *command(script, *arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(**settings),
    )


def told(done: subprocess.CompletedProcess[str]) -> list[Any]:
    """The lines of JSON of a worker that ended well and complained of nothing."""
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def running(script: str, *arguments: object, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A worker that is ended with the block at the latest."""
    process = subprocess.Popen(
        command(script, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**settings),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
