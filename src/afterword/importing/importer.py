"""Writes what exports hold, in batches, and tells of each record that could not be read (layer 5)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from afterword.client import Client
from afterword.configuration import project_named
from afterword.errors import ConfigError, FeedbackRejected, InvalidInput
from afterword.importing.reading import Unreadable, records_of

__all__ = ["Imported", "Outcome", "Problem", "import_file"]

_BATCH = 200
_FLUSH_S = 60.0


@dataclass(frozen=True, slots=True)
class Imported:
    """One record: fields of `Client.log`, entries of `Client.feedback`, and other names of it."""

    fields: dict[str, Any]
    feedback: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    aliases: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Problem:
    """A record, or a statement of one, that was left out."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


@dataclass(slots=True)
class Outcome:
    """What came of a file."""

    generations: int = 0
    feedback: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])


def import_file(
    client: Client,
    path: Path,
    service: str,
    *,
    project: str | None = None,
    on_record: Callable[[], None] = lambda: None,
) -> Outcome:
    """Import one exported file. A second time changes nothing.

    IDs, times and users are kept. `project` replaces the projects that the records name.

    Raises:
        OSError: the file cannot be read.
        StoreError: the store is away.
    """
    entries = importlib.import_module(f"afterword.importing.{service}").entries
    outcome = Outcome()
    batch: list[tuple[int, Imported]] = []
    for line, record in records_of(path):
        on_record()
        try:
            if isinstance(record, Unreadable):
                raise record
            imported: Imported = entries(record)
            imported.fields["project"] = project or _project(imported.fields["project"], client)
            client.log(**imported.fields)
        except (Unreadable, InvalidInput, ConfigError) as error:
            outcome.problems.append(Problem(path, line, str(error)))
            continue
        outcome.generations += 1
        batch.append((line, imported))
        if len(batch) >= _BATCH:
            _rate(client, path, batch, outcome)
            batch = []
    _rate(client, path, batch, outcome)
    return outcome


def _project(named: str | None, client: Client) -> str:
    """A name that projects may have."""
    return (named and project_named(named)) or client.project


def _rate(client: Client, path: Path, batch: list[tuple[int, Imported]], outcome: Outcome) -> None:
    """Write the feedback of a batch, whose generations are stored first."""
    client.flush(_FLUSH_S)
    for line, imported in batch:
        data_id = imported.fields["data_id"]
        for name in imported.aliases:
            try:
                client.alias(name, data_id)
            except InvalidInput as error:
                outcome.problems.append(Problem(path, line, str(error)))
    said = [(line, imported, entry) for line, imported in batch for entry in imported.feedback]
    while said:
        try:
            kept = client.feedback([_given(entry) for _, _, entry in said])
            outcome.feedback += len(kept)
            return
        except FeedbackRejected as error:
            line, imported, entry = said[error.index or 0]
            if not _declare(client, imported.fields["project"], entry):
                outcome.problems.append(Problem(path, line, str(error)))
                del said[error.index or 0]


def _given(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


def _declare(client: Client, project: str, entry: dict[str, Any]) -> bool:
    """Make room for a type or label that this project does not know; whether that was it."""
    name, value = entry["type"], entry["value"]
    known = {kind.name: kind for kind in client.feedback_types(project)}
    kind = known.get(name)
    labels = list(_labels(value))
    try:
        if kind is None:
            client.feedback_type(name, *_class_of(value), project=project)
            return True
        if kind.cls not in ("select", "multi_select") or not labels:
            return False
        allowed = {label.name: label.sentiment for label in kind.labels}
        if allowed.keys() >= set(labels):
            return False
        allowed = {**dict.fromkeys(labels), **allowed}
        client.feedback_type(name, kind.cls, allowed, signal=kind.signal, project=project)
    except InvalidInput:
        return False
    return True


def _labels(value: Any) -> Iterator[str]:
    labels: list[Any] = value if isinstance(value, list) else [value]
    return (label for label in labels if isinstance(label, str))


def _class_of(value: Any) -> tuple[Any, ...]:
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, (int, float)):
        return ("number",)
    if isinstance(value, list):
        return "multi_select", list(_labels(value))
    return ("text",)
