"""The figures of fault campaigns: one line a run, on the terminal and, if wanted, in a file.

``AFTERWORD_TEST_FIGURES`` names a file to which each run appends one line of JSON; the page
``docs/explanation/reliability.md`` is made from such a file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from ledger import Result

NAMED_BY = "AFTERWORD_TEST_FIGURES"

#: The lines of this process, for the summary at the end of a test run.
LINES: list[str] = []


@dataclass
class Run:
    """What one run of a fault came to. Add each loop's result as it is known."""

    fault: str
    seed: int | None = None
    loops: int = 0
    attempted: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    seconds: float = 0.0
    #: What else there is to say of this fault, units in the names.
    more: dict[str, Any] = field(default_factory=dict)

    def add(self, result: Result) -> Result:
        """Count one loop."""
        self.loops += 1
        self.attempted += result.attempted
        self.acknowledged += result.acknowledged
        self.lost += len(result.lost)
        self.duplicated += len(result.duplicated)
        return result

    def line(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        more = "".join(f", {name} {value}" for name, value in self.more.items())
        return (
            f"{self.fault}: {self.loops} loops, {self.attempted} attempted, "
            f"{self.acknowledged} acknowledged, {self.lost} lost, {self.duplicated} duplicated, "
            f"{self.seconds:.1f} s{seed}{more}"
        )


@contextmanager
def run(fault: str, *, seed: int | None = None, **more: Any) -> Iterator[Run]:
    """Time a run and report it, whether it ends well or not.

    `fault` is the fault's number, with a word where one fault has several runs: ``F13`` or ``F16 reset``.
    """
    this = Run(fault, seed, more=more)
    started_s = time.monotonic()
    try:
        yield this
    finally:
        this.seconds = round(time.monotonic() - started_s, 3)
        report(this)


def report(this: Run) -> None:
    """Print a run's line, and append it to the file that the environment names."""
    LINES.append(this.line())
    print(this.line())  # noqa: T201
    path = os.environ.get(NAMED_BY)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(asdict(this))}\n")
