"""Writes the figures of the fault campaigns into their page.

    AFTERWORD_TEST_FIGURES=figures.jsonl python -m pytest tests/campaign -m "long or not long"
    python tools/figures.py figures.jsonl

Each line of the file is one run. Runs of the same name are added up.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "reliability.md"
BEGIN, END = "<!-- figures: made by tools/figures.py -->", "<!-- end of figures -->"
HEAD = (
    "fault",
    "loops",
    "attempted",
    "acknowledged",
    "lost",
    "duplicated",
    "seconds",
    "seen besides",
)
_SUMMED = ("loops", "attempted", "acknowledged", "lost", "duplicated", "seconds")
_ORDER = re.compile(r"F(\d+)(.*)")


def table(lines: list[str]) -> str:
    """The runs as a table, by the numbers of their faults."""
    runs: dict[str, dict[str, Any]] = {}
    for line in lines:
        run = json.loads(line)
        kept = runs.setdefault(run["fault"], {**dict.fromkeys(_SUMMED, 0), "more": {}})
        for name in _SUMMED:
            kept[name] += run[name]
        kept["more"].update(run["more"])
    rows = [HEAD, tuple("---" for _ in HEAD)]
    for fault, run in sorted(runs.items(), key=lambda item: _place(item[0])):
        numbers = [f"{run[name]:,}" for name in _SUMMED[:-1]]
        more = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in run["more"].items())
        rows.append((fault, *numbers, f"{run['seconds']:.1f}", more))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _place(fault: str) -> tuple[int, str]:
    found = _ORDER.match(fault)
    return (int(found[1]), found[2]) if found else (999, fault)


def main() -> None:
    lines = [line for name in sys.argv[1:] for line in Path(name).read_text("utf-8").splitlines()]
    lines = [line for line in lines if json.loads(line)["fault"] != "F99"]  # the figures' own test
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(lines)}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
