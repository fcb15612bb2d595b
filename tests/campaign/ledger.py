"""The independent ledger of a fault campaign: what was attempted, what was acknowledged, what is held.

The workload writes to the ledger's file before and after each call, one `write` a line, so that a
process that is killed leaves a true ledger. Afterwards `check` compares it with what a store holds, read
past all of our own code. Nothing here imports the code under test.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import apsw

_ATTEMPTED, _ACKNOWLEDGED = "attempted", "acknowledged"


def digest(content: Any) -> str:
    """A hash of plain JSON, however it is spaced and ordered."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def generation_content(inputs: Any, output: Any) -> list[Any]:
    """What of a generation the ledger compares."""
    return [inputs, output]


def generation_key(data_id: str) -> str:
    return f"generation {data_id}"


def feedback_key(data_id: str, type: str, value: Any, user: str | None) -> str:
    """A statement is attempted once with each value, so what it says names it."""
    return f"feedback {data_id} {type} {user or '-'} {json.dumps(value)}"


class Ledger:
    """Writes one ledger's file. Several processes and threads may share the file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def attempt(self, data_id: str, inputs: Any, output: Any) -> str:
        """A generation is about to be given to the library; gives its key."""
        key = generation_key(data_id)
        self._write(_ATTEMPTED, key, digest(generation_content(inputs, output)))
        return key

    def attempt_feedback(self, data_id: str, type: str, value: Any, user: str | None = None) -> str:
        """A statement is about to be given to the library; gives its key."""
        key = feedback_key(data_id, type, value, user)
        self._write(_ATTEMPTED, key, digest(value))
        return key

    def acknowledge(self, *keys: str) -> None:
        """The library has said that these are durable."""
        for key in keys:
            self._write(_ACKNOWLEDGED, key, "")

    def acknowledge_all(self) -> None:
        """A flush has said that all that was attempted so far is durable."""
        entries = self.read()
        self.acknowledge(*(key for key in entries.attempted if key not in entries.acknowledged))

    def read(self) -> Entries:
        return read(self.path)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, kind: str, key: str, content: str) -> None:
        line = f"{json.dumps([kind, key, content])}\n".encode()
        assert os.write(self._file, line) == len(line)


@dataclass
class Entries:
    """What a ledger says."""

    #: The hash of what was attempted, by key.
    attempted: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)


def read(*paths: str | Path) -> Entries:
    """What these ledgers say together."""
    entries = Entries()
    for path in paths:
        lines = Path(path).read_bytes().split(b"\n")
        for line in lines[:-1]:  # behind the last newline there is nothing, or a line cut by a kill
            kind, key, content = json.loads(line)
            if kind == _ATTEMPTED:
                entries.attempted[key] = content
            else:
                entries.acknowledged.add(key)
    return entries


class Held(NamedTuple):
    """What a store holds: a key and a hash for each row, and what is wrong with the store itself."""

    rows: list[tuple[str, str]]
    fault: str = ""


def held_in_sqlite(path: str | Path, project: str | None = None) -> Held:
    """Every generation and statement of a SQLite file, or of a project in it, and its integrity check."""
    connection = apsw.Connection(str(path))
    try:
        found = " ".join(str(text) for (text,) in connection.execute("PRAGMA integrity_check"))
        wanted = {"project": project}
        generations = connection.execute(
            "SELECT id, inputs, output FROM generations WHERE status <> 'waiting'"
            " AND (:project IS NULL OR project = :project)",
            wanted,
        )
        rows = [_generation_row(*row) for row in generations]
        statements = connection.execute(
            "SELECT data_id, type, value, user FROM feedback"
            " WHERE :project IS NULL OR project = :project",
            wanted,
        )
        rows += [_feedback_row(*row) for row in statements]
    finally:
        connection.close()
    return Held(rows, "" if found == "ok" else found)


def held_in_postgres(url: str) -> Held:
    """Every generation and statement of a PostgreSQL database."""
    import psycopg  # only some campaigns have a server

    with psycopg.connect(url) as connection:
        generations = connection.execute(
            "SELECT id, inputs, output FROM generations WHERE status <> 'waiting'"
        ).fetchall()
        statements = connection.execute('SELECT data_id, type, value, "user" FROM feedback')
        rows = [_generation_row(*row) for row in generations]
        rows += [_feedback_row(*row) for row in statements.fetchall()]
    return Held(rows)


def held_on_server(url: str, api_key: str | None = None) -> Held:
    """Every generation of a running server, and its current feedback, as its API lists them."""
    rows: list[tuple[str, str]] = []
    after = ""
    while True:
        request = urllib.request.Request(f"{url}/api/v1/generations?limit=500{after}")
        if api_key is not None:
            request.add_header("Authorization", f"Bearer {api_key}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            page = json.load(answer)
        for item in page["items"]:
            if item["status"] != "waiting":
                content = digest(generation_content(item["inputs"], item["output"]))
                rows.append((generation_key(item["id"]), content))
            for said in item["feedback"]:
                key = feedback_key(item["id"], said["type"], said["value"], said["user"])
                rows.append((key, digest(said["value"])))
        if page["next"] is None:
            return Held(rows)
        after = f"&after={page['next']}"


def _generation_row(data_id: str, inputs: str | None, output: str | None) -> tuple[str, str]:
    content = generation_content(_loaded(inputs), _loaded(output))
    return generation_key(data_id), digest(content)


def _feedback_row(data_id: str, type: str, value: str | None, user: str | None) -> tuple[str, str]:
    said = _loaded(value)
    return feedback_key(data_id, type, said, user), digest(said)


def _loaded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


@dataclass(frozen=True)
class Result:
    """How a ledger and a store compare. `require` says whether they agree."""

    attempted: int
    acknowledged: int
    stored: int
    #: Acknowledged, and not held.
    lost: tuple[str, ...]
    #: Attempted, never acknowledged, and not held: no promise broken.
    forgone: tuple[str, ...]
    #: Held more than once.
    duplicated: tuple[str, ...]
    #: Held, and never attempted.
    invented: tuple[str, ...]
    #: Held with another content.
    altered: tuple[str, ...]
    fault: str

    def require(self, context: object = "") -> Result:
        """Fail, naming some of what is wrong; gives itself when nothing is."""
        wrong = {
            name: (len(found), found[:5])
            for name in ("lost", "duplicated", "invented", "altered")
            if (found := getattr(self, name))
        }
        assert not wrong, f"{wrong} {context}"
        assert not self.fault, f"{self.fault} {context}"
        return self


def check(entries: Entries | Iterable[Entries], held: Held) -> Result:
    """Compare: acknowledged is held, held was attempted, nothing twice, contents equal, store whole."""
    known = Entries()
    for part in [entries] if isinstance(entries, Entries) else entries:
        known.attempted.update(part.attempted)
        known.acknowledged |= part.acknowledged
    times = Counter(key for key, _ in held.rows)
    altered = {key for key, content in held.rows if known.attempted.get(key, content) != content}
    return Result(
        attempted=len(known.attempted),
        acknowledged=len(known.acknowledged),
        stored=len(times),
        lost=_sorted(known.acknowledged - times.keys()),
        forgone=_sorted(known.attempted.keys() - known.acknowledged - times.keys()),
        duplicated=_sorted(key for key, count in times.items() if count > 1),
        invented=_sorted(times.keys() - known.attempted.keys()),
        altered=_sorted(altered),
        fault=held.fault,
    )


def _sorted(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(keys))
