"""The SQLite store: one file, many processes (layer 2).

Every write is one ``BEGIN IMMEDIATE`` transaction in WAL mode with full sync; reads use connections
of their own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import apsw

from afterword.codec import to_json
from afterword.errors import ConfigError
from afterword.feedback.rows import FeedbackRow
from afterword.model import FeedbackType
from afterword.stores import tombstones
from afterword.stores.protocol import Query, as_json_definition, from_json_definition
from afterword.stores.rows import GenerationRow, Stored
from afterword.stores.sqlite_files import SQL, Patience, errors_of, open_reader, open_writer
from afterword.stores.sqlite_forks import GATE
from afterword.stores.sqlite_recovery import log_bytes, set_aside_files
from afterword.stores.sqlite_rows import (
    GENERATIONS_BY_IDS,
    SELECT_GENERATION,
    generation_of,
    generation_row,
    history_of,
    put_feedback,
    put_generations,
)
from afterword.stores.tombstones import Removals


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
        self._is_suspect, self._suspected_s = False, float("-inf")
        self._commits, self._told_s = 0, float("-inf")

    @property
    def patience_s(self) -> float:
        """How long its connections wait for the locks of others before they say StoreBusy."""
        return self._patience.patience_s

    @patience_s.setter
    def patience_s(self, seconds: float) -> None:
        self._patience.patience_s = seconds

    def open(self) -> None:
        with self._errors(), self._lock, GATE.inside():
            self._write_connection()

    def facts(self) -> dict[str, str]:
        with self._reading() as connection:
            facts = {
                "schema": str(connection.pragma("user_version")),
                "SQLite": apsw.sqlite_lib_version(),
                "journal": str(connection.pragma("journal_mode")),
            }
        damaged = set_aside_files(self.path)
        return {**facts, "damaged, set aside": " ".join(damaged)} if damaged else facts

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> Stored:
        with self._transaction() as connection:
            removals = _removals(connection)
            generations = removals.admit(generations)
            known = put_generations(connection, generations) if generations else ()
            wanted = removals.admit(feedback)
            kept = put_feedback(connection, wanted) if wanted else []
            if len(wanted) < len(feedback):
                places = iter(kept)
                kept = [next(places) if removals.admits(row) else row for row in feedback]
        return Stored(kept, known)

    def generation(self, data_id: str, project: str | None = None) -> GenerationRow | None:
        with self._reading() as connection:
            return generation_of(connection, data_id, project)

    def by_ids(self, data_ids: Sequence[str]) -> list[GenerationRow]:
        with self._reading() as connection:
            bindings = {"data_ids": to_json(list(data_ids))}
            found = connection.execute(GENERATIONS_BY_IDS, bindings)
            return [generation_row(columns) for columns in found]

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
                conditions.append(SQL[f"where_{field}"])
                bindings[field] = value
        if query.text is not None:
            conditions.append(SQL["where_text"])
            bindings["text"] = f"%{_like(to_json(query.text)[1:-1])}%"
        if query.feedback:
            conditions.append(SQL["where_feedback"])
            bindings["feedback"] = to_json([
                {"type": name, "value": value, "any": value is None}
                for name, value in query.feedback.items()
            ])  # fmt: skip
        if query.after is not None:
            conditions.append(SQL["where_after"])
            for field, value in zip(("created_at", "id", "project"), query.after, strict=True):
                bindings[f"after_{field}"] = value
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        with self._reading() as connection:
            found = connection.execute(f"{SELECT_GENERATION}{where}{SQL['newest_first']}", bindings)
            return [generation_row(columns) for columns in found]

    def history(self, data_ids: Sequence[str], project: str | None = None) -> list[FeedbackRow]:
        with self._reading() as connection:
            return history_of(connection, data_ids, project)

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        bindings = {"external_id": external_id, "project": project}
        found = self._value("resolve_alias", bindings)
        return None if found is None else str(found)

    def put_alias(self, project: str, external_id: str, data_id: str) -> None:
        with self._transaction() as connection:
            connection.execute(SQL["put_alias"], (external_id, project, data_id))

    def feedback_types(self, project: str) -> dict[str, FeedbackType]:
        with self._reading() as connection:
            found = connection.execute(SQL["feedback_types"], {"project": project})
            return {name: from_json_definition(definition) for name, definition in found}

    def put_feedback_type(self, project: str, definition: FeedbackType) -> None:
        values = (project, definition.name, as_json_definition(definition))
        with self._transaction() as connection:
            connection.execute(SQL["put_feedback_type"], values)

    def projects(self) -> list[str]:
        with self._reading() as connection:
            return [project for (project,) in connection.execute(SQL["projects"])]

    def setting(self, name: str, make: Callable[[], str]) -> str:
        kept = self._value("get_setting", {"name": name})
        if kept is None:
            with self._transaction() as connection:
                connection.execute(SQL["make_setting"], (name, make()))
            kept = self._value("get_setting", {"name": name})
        return str(kept)

    def document(self, kind: str, project: str, name: str) -> str | None:
        found = self._value("document", {"kind": kind, "project": project, "name": name})
        return None if found is None else str(found)

    def documents(self, kind: str, project: str | None = None) -> list[tuple[str, str, str]]:
        with self._reading() as connection:
            found = connection.execute(SQL["documents"], {"kind": kind, "project": project})
            return [(kept, name, body) for kept, name, body in found]

    def put_document(
        self, kind: str, project: str, name: str, body: str, *, replace: bool = True
    ) -> str:
        key = {"kind": kind, "project": project, "name": name}
        with self._transaction() as connection:
            connection.execute(SQL["put_document"], {**key, "body": body, "replace": replace})
            return str(connection.execute(SQL["document"], key).fetchall()[0][0])

    def drop_document(self, kind: str, project: str, name: str) -> bool:
        key = {"kind": kind, "project": project, "name": name}
        with self._transaction() as connection:
            connection.execute(SQL["drop_document"], key)
            return connection.changes() > 0

    def erase(self, user: str, project: str | None = None) -> int:
        bindings = {"user": user, "project": project}
        with self._transaction() as connection:
            before = connection.total_changes()
            for name in ("erase_aliases", "erase_current", "erase_stubs", "erase_feedback",
                         "erase_generations"):  # fmt: skip
                connection.execute(SQL[name], bindings)
            erased = connection.total_changes() - before
            tombstone = {"kind": tombstones.KIND, "project": project or tombstones.EVERYWHERE,
                         "name": tombstones.name_of(user), "replace": True}  # fmt: skip
            body = str(time.time_ns() // 1_000)
            connection.execute(SQL["put_document"], {**tombstone, "body": body})
        with self._errors(), self._lock, GATE.inside():
            # Pages of before are in the log until it is emptied.
            self._write_connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for name in set_aside_files(self.path):
            _LOGGER.warning("%s may hold records of who was erased, too; remove it", name)
        return erased

    def drop_before(self, until: int) -> int:
        dropped = 0
        self.put_document(*tombstones.FLOOR, str(until))
        for project in self.projects():
            # In parts, so that others may write in between.
            while gone := self._drop_some(project, until):
                dropped += gone
        return dropped

    def _drop_some(self, project: str, until: int) -> int:
        with self._transaction() as connection:
            found = connection.execute(SQL["old_generations"], {"project": project, "until": until})
            bindings = {"numbers": to_json([number for (number,) in found])}
            for name in ("drop_old_current", "drop_old_feedback", "drop_old_aliases",
                         "drop_old_generations"):  # fmt: skip
                connection.execute(SQL[name], bindings)
            return connection.changes()

    def forget_after_fork(self) -> None:
        # Closing an inherited handle would drop the parent's file locks; leak it instead.
        _LEAKED.append((self._writer, self._readers))
        self._writer, self._readers, self._lock = None, [], threading.RLock()
        self._patience = Patience()

    def close(self) -> None:
        patience, self._patience = self._patience, Patience()
        patience.end()
        with self._lock, GATE.inside():
            for connection in (*self._readers, self._writer):
                if connection is not None:
                    connection.close()
            self._writer, self._readers = None, []

    def _value(self, name: str, bindings: dict[str, Any]) -> Any:
        with self._reading() as connection:
            row = connection.execute(SQL[name], bindings).fetchone()
            return None if row is None else row[0]

    @contextmanager
    def _transaction(self) -> Generator[apsw.Connection]:
        with self._errors(), self._lock, GATE.inside():
            connection = self._write_connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
                self._watch_log()
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _watch_log(self) -> None:
        """Now and again, see whether a reader holds back the log, so that it grows without end."""
        self._commits += 1
        if self._commits % _WATCHED_COMMITS == 0:
            size_bytes = log_bytes(self.path)
            if size_bytes > LOG_BYTES and time.monotonic() - self._told_s > _TOLD_AGAIN_S:
                self._told_s = time.monotonic()
                _LOGGER.warning(
                    "the log of %s has grown to %d MB: a reader that does not end holds it back",
                    self.path, size_bytes // 1_000_000,
                )  # fmt: skip

    @contextmanager
    def _reading(self) -> Generator[apsw.Connection]:
        with self._errors():
            connection = self._borrow()
            try:
                with GATE.inside():
                    yield connection
            finally:
                self._readers.append(connection)

    @contextmanager
    def _errors(self) -> Generator[None]:
        """Errors of ours; a file that turns out damaged is looked at before its next use."""
        with errors_of(self.path):
            try:
                yield
            except (apsw.CorruptError, apsw.NotADBError):
                now_s = time.monotonic()
                if now_s - self._suspected_s > _SUSPECTED_AGAIN_S:
                    self._is_suspect, self._suspected_s = True, now_s
                raise

    def _borrow(self) -> apsw.Connection:
        try:
            if not self._is_suspect:
                return self._readers.pop()
            raise IndexError
        except IndexError:
            with self._lock, GATE.inside():
                self._write_connection()  # makes the file and its schema when they are missing
                return open_reader(self.path, self._patience)

    def _write_connection(self) -> apsw.Connection:
        if self._is_suspect:
            self._let_go()
        if self._writer is None:
            self._writer = open_writer(self.path, self._patience, is_suspect=self._is_suspect)
            self._is_suspect = False
        return self._writer

    def _let_go(self) -> None:
        """End what connections nobody is using, so that the file can be looked at alone."""
        connections = [self._readers.pop() for _ in range(len(self._readers))]
        if self._writer is not None:
            connections.append(self._writer)
            self._writer = None
        for connection in connections:
            # What is in the log must not be brought into a damaged file.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.close()


_LOGGER = logging.getLogger("afterword")
_LEAKED: list[Any] = []
#: Beyond this size of the log the operator is told.
LOG_BYTES = 64_000_000
_WATCHED_COMMITS = 128
_TOLD_AGAIN_S = 60.0
#: To look at a file takes long when it is large, and may find nothing.
_SUSPECTED_AGAIN_S = 60.0


def _removals(connection: apsw.Connection) -> Removals:
    floor, has_tombstones = connection.execute(SQL["removals"]).fetchall()[0]

    def erased_at(project: str, name: str) -> int | None:
        key = {"kind": tombstones.KIND, "project": project, "name": name}
        found = connection.execute(SQL["document"], key).fetchone()
        return None if found is None else int(found[0])

    return Removals(None if floor is None else int(floor), erased_at if has_tombstones else None)


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
