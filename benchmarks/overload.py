"""Memory under twice the load that the store can take, for a minute, in a process of its own.

Run as ``python -m benchmarks.overload``: prints what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import workload

SECONDS = 60.0
WARM_UP_S = 5.0
_STEP_S = 0.01

ROOT = Path(__file__).parents[1]


class Overload(NamedTuple):
    """What a minute of too much came to. Rates are generations a second."""

    capacity: float
    offered: float
    growth_mb: float
    captured: int
    stored: int
    dropped: int
    adds_up: bool


def measured() -> Overload:
    """The figures, from a fresh process."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overload"],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    return Overload(**json.loads(done.stdout))


def _offer(per_second: float, seconds: float) -> int:
    """Make so many calls a second, in steps of 10 ms, without ever waiting for the store."""
    _, _, decorated = workload.variants(workload.call).values()
    started_s = time.perf_counter()
    made = 0
    while (passed_s := time.perf_counter() - started_s) < seconds:
        for _ in range(int(per_second * passed_s) - made):
            decorated(*workload.text_arguments())
            made += 1
        time.sleep(_STEP_S)
    return made


def _run() -> Overload:
    client = workload.client()
    stored, started_s = client.status().stored, time.perf_counter()
    _offer(20_000, WARM_UP_S)
    client.flush()
    capacity = (client.status().stored - stored) / (time.perf_counter() - started_s)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    made = _offer(2 * capacity, SECONDS)
    status = client.status()
    after_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    client.flush()
    rested = client.status()
    law = (rested.stored, rested.buffered, rested.spooled, rested.dead_lettered, rested.dropped)
    return Overload(
        capacity=capacity,
        offered=made / SECONDS,
        growth_mb=after_mb - before_mb,
        captured=rested.captured,
        stored=rested.stored,
        dropped=rested.dropped,
        adds_up=rested.captured == sum(law) and status.captured == rested.captured,
    )


if __name__ == "__main__":
    print(json.dumps(_run()._asdict()))
