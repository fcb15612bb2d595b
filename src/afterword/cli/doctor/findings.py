"""What the doctor found, one finding a link of the loop (layer 6)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Broken", "Finding", "Findings"]


class Broken(Exception):
    """A link is broken; the message says which and how to mend it. Later links cannot be tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One link: its name, whether it holds, and what was seen."""

    link: str
    holds: bool
    seen: str


@dataclass(slots=True)
class Findings:
    """Every link tried so far."""

    all: list[Finding] = field(default_factory=list[Finding])

    def add(self, link: str, seen: str) -> None:
        self.all.append(Finding(link, True, seen))

    @contextmanager
    def trying(self, link: str) -> Generator[None]:
        """Note the link as broken when the block finds it so."""
        try:
            yield
        except Broken as broken:
            self.all.append(Finding(link, False, str(broken)))
            raise

    @property
    def first_broken(self) -> Finding | None:
        return next((finding for finding in self.all if not finding.holds), None)
