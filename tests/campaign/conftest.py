"""What the fault campaigns share: a ledger for each test, and their figures at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from figures import LINES
from ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger")
    yield ledger
    ledger.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LINES:
        terminalreporter.section("fault campaigns")
        for line in LINES:
            terminalreporter.write_line(line)
