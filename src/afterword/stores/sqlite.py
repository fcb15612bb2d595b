"""The SQLite store: one file, many processes (layer 2).

Every write is one ``BEGIN IMMEDIATE`` transaction in WAL mode with full sync; reads use connections
of their own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import apsw
import msgspec

from afterword.codec import to_json
from afterword.errors import ConfigError
from afterword.feedback.current import current, repeated, surplus
from afterword.feedback.rows import COLUMNS as FEEDBACK_COLUMNS
from afterword.feedback.rows import FeedbackRow
from afterword.model import FeedbackType
from afterword.stores import tombstones
from afterword.stores.protocol import Query, as_json_definition, from_json_definition
from afterword.stores.rows import COLUMNS as GENERATION_COLUMNS
from afterword.stores.rows import GenerationRow, merge, patched, waiting
from afterword.stores.sql import statements
from afterword.stores.sqlite_files import Patience, errors_of, open_reader, open_writer
from afterword.stores.tombstones import admitted

_SQL = statements("sqlite")
_SELECT_GENERATION = f"{_SQL['select_generation']} "
_SELECT_FEEDBACK = f"{_SQL['select_feedback']} "


def open_store(url: str) -> SqliteStore:
    """``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises:
        ConfigError: the URL names no file.
    """
    prefix = "sqlite:///"
    path = unquote(url[len(prefix) :]) if url.startswith(prefix) else ""
    if not path or "\0" in path or "?" in path:
        raise ConfigError(
            f"{url!r:.200} names no file; write sqlite:///relative.db or sqlite:////absolute.db"
        )
    return SqliteStore(url, os.path.abspath(path))


class SqliteStore:
    """Records in one SQLite file."""

    is_local = True

    def __init__(self, url: str, path: str) -> None:
        self.url = url
        self.path = path
        self._writer: apsw.Connection | None = None
        self._readers: list[apsw.Connection] = []
        self._lock = threading.RLock()
        self._patience = Patience()

    def open(self) -> None:
        with errors_of(self.path), self._lock:
            self._write_connection()

    def facts(self) -> dict[str, str]:
        with self._reading() as connection:
            return {
                "schema": str(connection.pragma("user_version")),
                "SQLite": apsw.sqlite_lib_version(),
                "journal": str(connection.pragma("journal_mode")),
            }

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> list[FeedbackRow]:
        with self._transaction() as connection:
            erased_at = _erasures(connection)
            if erased_at is not None:
                generations = admitted(generations, erased_at)
            if generations:
                _put_generations(connection, generations)
            return [
                _put_feedback(connection, row)
                if erased_at is None or admitted((row,), erased_at)
                else row
                for row in feedback
            ]

    def generation(self, data_id: str, project: str | None = None) -> GenerationRow | None:
        with self._reading() as connection:
            return _generation(connection, data_id, project)

    def finished(self, data_ids: Sequence[str]) -> set[tuple[str, str]]:
        with self._reading() as connection:
            bindings = {"data_ids": to_json(list(data_ids))}
            return set(connection.execute(_SQL["finished"], bindings))

    def project_of(self, data_id: str) -> str | None:
        found = self._value("project_of", {"id": data_id, "project": None})
        return None if found is None else str(found)

    def generations(self, query: Query) -> list[GenerationRow]:
        conditions: list[str] = []
        bindings: dict[str, Any] = {"limit": query.limit}
        for field in ("project", "name", "version", "model", "status", "user", "session",
                      "since", "until", "sentiment", "signal"):  # fmt: skip
            value = getattr(query, field)
            if value is not None:
                conditions.append(_SQL[f"where_{field}"])
                bindings[field] = value
        if query.text is not None:
            conditions.append(_SQL["where_text"])
            bindings["text"] = f"%{_like(to_json(query.text)[1:-1])}%"
        if query.feedback:
            conditions.append(_SQL["where_feedback"])
            bindings["feedback"] = to_json([
                {"type": name, "value": value, "any": value is None}
                for name, value in query.feedback.items()
            ])  # fmt: skip
        if query.after is not None:
            conditions.append(_SQL["where_after"])
            bindings["after_created_at"], bindings["after_id"] = query.after
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        with self._reading() as connection:
            found = connection.execute(
                f"{_SELECT_GENERATION}{where}{_SQL['newest_first']}", bindings
            )
            return [_generation_row(columns) for columns in found]

    def history(self, data_ids: Sequence[str], project: str | None = None) -> list[FeedbackRow]:
        with self._reading() as connection:
            return _history(connection, data_ids, project)

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        bindings = {"external_id": external_id, "project": project}
        found = self._value("resolve_alias", bindings)
        return None if found is None else str(found)

    def put_alias(self, project: str, external_id: str, data_id: str) -> None:
        with self._transaction() as connection:
            connection.execute(_SQL["put_alias"], (external_id, project, data_id))

    def feedback_types(self, project: str) -> dict[str, FeedbackType]:
        with self._reading() as connection:
            found = connection.execute(_SQL["feedback_types"], {"project": project})
            return {name: from_json_definition(definition) for name, definition in found}

    def put_feedback_type(self, project: str, definition: FeedbackType) -> None:
        values = (project, definition.name, as_json_definition(definition))
        with self._transaction() as connection:
            connection.execute(_SQL["put_feedback_type"], values)

    def projects(self) -> list[str]:
        with self._reading() as connection:
            return [project for (project,) in connection.execute(_SQL["projects"])]

    def setting(self, name: str, make: Callable[[], str]) -> str:
        kept = self._value("get_setting", {"name": name})
        if kept is None:
            with self._transaction() as connection:
                connection.execute(_SQL["make_setting"], (name, make()))
            kept = self._value("get_setting", {"name": name})
        return str(kept)

    def document(self, kind: str, project: str, name: str) -> str | None:
        found = self._value("document", {"kind": kind, "project": project, "name": name})
        return None if found is None else str(found)

    def documents(self, kind: str, project: str | None = None) -> list[tuple[str, str, str]]:
        with self._reading() as connection:
            found = connection.execute(_SQL["documents"], {"kind": kind, "project": project})
            return [(kept, name, body) for kept, name, body in found]

    def put_document(
        self, kind: str, project: str, name: str, body: str, *, replace: bool = True
    ) -> str:
        key = {"kind": kind, "project": project, "name": name}
        with self._transaction() as connection:
            connection.execute(_SQL["put_document"], {**key, "body": body, "replace": replace})
            return str(connection.execute(_SQL["document"], key).fetchall()[0][0])

    def drop_document(self, kind: str, project: str, name: str) -> bool:
        key = {"kind": kind, "project": project, "name": name}
        with self._transaction() as connection:
            connection.execute(_SQL["drop_document"], key)
            return connection.changes() > 0

    def erase(self, user: str, project: str | None = None) -> int:
        bindings = {"user": user, "project": project}
        with self._transaction() as connection:
            before = connection.total_changes()
            for name in ("erase_aliases", "erase_current", "erase_stubs", "erase_feedback",
                         "erase_generations"):  # fmt: skip
                connection.execute(_SQL[name], bindings)
            erased = connection.total_changes() - before
            tombstone = {"kind": tombstones.KIND, "project": project or tombstones.EVERYWHERE,
                         "name": tombstones.name_of(user), "replace": True}  # fmt: skip
            body = str(time.time_ns() // 1_000)
            connection.execute(_SQL["put_document"], {**tombstone, "body": body})
        with errors_of(self.path), self._lock:
            # Pages of before are in the log until it is emptied.
            self._write_connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def forget_after_fork(self) -> None:
        # Closing an inherited handle would drop the parent's file locks; leak it instead.
        _LEAKED.append((self._writer, self._readers))
        self._writer, self._readers, self._lock = None, [], threading.RLock()
        self._patience = Patience()

    def close(self) -> None:
        patience, self._patience = self._patience, Patience()
        patience.end()
        with self._lock:
            for connection in (*self._readers, self._writer):
                if connection is not None:
                    connection.close()
            self._writer, self._readers = None, []

    def _value(self, name: str, bindings: dict[str, Any]) -> Any:
        with self._reading() as connection:
            row = connection.execute(_SQL[name], bindings).fetchone()
            return None if row is None else row[0]

    @contextmanager
    def _transaction(self) -> Generator[apsw.Connection]:
        with errors_of(self.path), self._lock:
            connection = self._write_connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Generator[apsw.Connection]:
        with errors_of(self.path):
            connection = self._borrow()
            try:
                yield connection
            finally:
                self._readers.append(connection)

    def _borrow(self) -> apsw.Connection:
        try:
            return self._readers.pop()
        except IndexError:
            with self._lock:
                self._write_connection()  # makes the file and its schema when they are missing
            return open_reader(self.path, self._patience)

    def _write_connection(self) -> apsw.Connection:
        if self._writer is None:
            self._writer = open_writer(self.path, self._patience)
        return self._writer


_LEAKED: list[Any] = []


def _erasures(connection: apsw.Connection) -> Callable[[str, str], int | None] | None:
    """When a user was erased, by project and name of the tombstone; None when nobody was."""
    if connection.execute(_SQL["any_document"], {"kind": tombstones.KIND}).fetchone() is None:
        return None

    def erased_at(project: str, name: str) -> int | None:
        key = {"kind": tombstones.KIND, "project": project, "name": name}
        found = connection.execute(_SQL["document"], key).fetchone()
        return None if found is None else int(found[0])

    return erased_at


def _put_generations(connection: apsw.Connection, rows: Sequence[GenerationRow]) -> None:
    values = [_values(patched(row)) for row in rows]
    before = connection.total_changes()
    connection.execute("SAVEPOINT batch")
    connection.executemany(_SQL["insert_generation"], values)
    if connection.total_changes() - before != len(rows):
        # Some are there already, or twice in the batch: once more, one at a time.
        connection.execute("ROLLBACK TO batch")
        for row in rows:
            _put_generation(connection, row)
    connection.execute("RELEASE batch")
    _settle_awaited(connection, rows)


def _put_generation(connection: apsw.Connection, row: GenerationRow) -> None:
    connection.execute(_SQL["insert_generation"], _values(row))
    if connection.changes() == 0:
        old = _generation(connection, row.id, row.project)
        assert old is not None, "the row that stood in the way is there"
        merged = merge(old, row)
        if merged != old:
            connection.execute(_SQL["replace_generation"], _values(merged))


def _settle_awaited(connection: apsw.Connection, rows: Sequence[GenerationRow]) -> None:
    """Join feedback that came before its generation, in a project it could only guess."""
    awaited = connection.execute(
        _SQL["awaited"], {"data_ids": to_json([row.id for row in rows])}
    ).fetchall()
    if awaited:
        arrived = {row.id: row.project for row in rows if row.status != "waiting"}
        for (data_id,) in awaited:
            if data_id in arrived:
                bindings = {"data_id": data_id, "project": arrived[data_id]}
                for name in ("clear_current", "drop_stubs", "settle_feedback"):
                    connection.execute(_SQL[name], bindings)
                _insert_current(connection, _history(connection, [data_id], arrived[data_id]))


def _put_feedback(connection: apsw.Connection, row: FeedbackRow) -> FeedbackRow:
    if row.provisional:
        known = connection.execute(
            _SQL["project_of"], {"id": row.data_id, "project": row.project}
        ).fetchone()
        if known is not None:
            row.project = known[0]
            row.provisional = known[1] == "waiting"
    bindings = {name: getattr(row, name) for name in FEEDBACK_COLUMNS}
    same = connection.execute(_SELECT_FEEDBACK + _SQL["same_feedback"], bindings).fetchone()
    if same is not None:
        return _feedback_row(same)
    found_rows = connection.execute(_SELECT_FEEDBACK + _SQL["by_key"], bindings)
    history = [_feedback_row(columns) for columns in found_rows]
    twin = repeated(history, row)
    if twin is not None:
        return twin
    stub = waiting(row)
    connection.execute(_SQL["insert_generation"], _values(stub))
    connection.execute(_SQL["insert_feedback"], _values(row))
    history.append(row)
    for found in surplus(history, row):
        connection.execute(_SQL["drop_feedback"], (found.id, found.project))
    connection.execute(_SQL["drop_current"], bindings)
    _insert_current(connection, history)
    return row


def _insert_current(connection: apsw.Connection, history: Sequence[FeedbackRow]) -> None:
    for found in current(history):
        connection.execute(
            _SQL["insert_current"],
            (found.project, found.data_id, found.type, found.rater, found.label,
             found.value, found.sentiment),
        )  # fmt: skip


def _history(
    connection: apsw.Connection, data_ids: Sequence[str], project: str | None
) -> list[FeedbackRow]:
    found = connection.execute(
        _SELECT_FEEDBACK + _SQL["by_generations"],
        {"data_ids": to_json(list(data_ids)), "project": project},
    )
    return [_feedback_row(columns) for columns in found]


def _generation(
    connection: apsw.Connection, data_id: str, project: str | None
) -> GenerationRow | None:
    found = connection.execute(
        _SELECT_GENERATION + _SQL["by_id"], {"id": data_id, "project": project}
    ).fetchone()
    return None if found is None else _generation_row(found)


def _values(row: GenerationRow | FeedbackRow) -> tuple[Any, ...]:
    return msgspec.structs.astuple(row)


def _generation_row(columns: Sequence[Any]) -> GenerationRow:
    return GenerationRow(**dict(zip(GENERATION_COLUMNS, columns, strict=True)))


def _feedback_row(columns: Sequence[Any]) -> FeedbackRow:
    row = FeedbackRow(**dict(zip(FEEDBACK_COLUMNS, columns, strict=True)))
    row.several, row.unset = bool(row.several), bool(row.unset)
    row.provisional = bool(row.provisional)
    return row


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
