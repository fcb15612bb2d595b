"""The PostgreSQL store: several servers on one database are one service (layer 2).

Generations are partitioned by month, so that old ones go by dropping a table. A write locks the
data IDs it is about, in order, for one transaction: feedback and its generation may come at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from afterword.codec import to_json
from afterword.errors import ConfigError
from afterword.feedback.rows import FeedbackRow
from afterword.model import FeedbackType
from afterword.stores import tombstones
from afterword.stores.postgres_rows import (
    GENERATION_BY_ID,
    GENERATIONS_BY_IDS,
    SELECT_GENERATION,
    SQL,
    generation_row,
    history_of,
    lock_keys,
    put_feedback,
    put_generations,
)
from afterword.stores.postgres_schema import (
    REMOVAL_LOCK,
    Connection,
    borrowed,
    connected,
    errors_of,
    make_partition,
    migrate,
    months_of,
    open_pool,
    partition_before,
    schema_version,
    without_password,
)
from afterword.stores.protocol import Query, as_json_definition, from_json_definition
from afterword.stores.rows import GenerationRow, Stored
from afterword.stores.tombstones import Removals

_LEAKED: list[Any] = []

Bindings = Mapping[str, Any]


def open_store(url: str) -> PostgresStore:
    """``postgresql://user:password@host:port/database``, as libpq reads it.

    Raises:
        ConfigError: the URL is none.
    """
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        shown = without_password(url)
        raise ConfigError(f"{shown!r:.200} is no URL of a PostgreSQL database") from error
    return PostgresStore(url)


class PostgresStore:
    """Records in a PostgreSQL database. Safe from any thread."""

    is_local = False

    def __init__(self, url: str) -> None:
        self.url = without_password(url)
        self._url = url
        self._pool: ConnectionPool[Connection] | None = None
        self._lock = threading.Lock()
        self._months: set[tuple[int, int]] = set()

    def open(self) -> None:
        with self._connected():
            pass

    def facts(self) -> dict[str, str]:
        with self._connected() as connection:
            server = connection.info.server_version
            return {
                "schema": str(schema_version(connection)),
                "PostgreSQL": f"{server // 10_000}.{server % 10_000}",
            }

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> Stored:
        self._make_partitions([row.created_at for row in generations])
        self._make_partitions([row.received_at for row in feedback])
        ids = {row.id for row in generations} | {row.data_id for row in feedback}
        with self._transaction() as connection:
            connection.execute(SQL["lock"], {"gone": REMOVAL_LOCK, "keys": lock_keys(ids)})
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
        bindings = {"id": data_id, "project": project}
        found = self._rows(GENERATION_BY_ID, bindings)
        return generation_row(found[0]) if found else None

    def by_ids(self, data_ids: Sequence[str]) -> list[GenerationRow]:
        found = self._rows(GENERATIONS_BY_IDS, {"data_ids": list(data_ids)})
        return [generation_row(columns) for columns in found]

    def project_of(self, data_id: str) -> str | None:
        found = self._rows(SQL["project_of"], {"id": data_id, "project": None})
        return str(found[0][0]) if found else None

    def generations(self, query: Query) -> list[GenerationRow]:
        conditions: list[LiteralString] = []
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
            bindings["types"] = list(query.feedback.keys())
            bindings["values"] = list(query.feedback.values())
        if query.after is not None:
            conditions.append(SQL["where_after"])
            for field, value in zip(("created_at", "id", "project"), query.after, strict=True):
                bindings[f"after_{field}"] = value
        where: LiteralString = "WHERE " + " AND ".join(conditions) + " " if conditions else ""
        found = self._rows(SELECT_GENERATION + where + SQL["newest_first"], bindings)
        return [generation_row(columns) for columns in found]

    def history(self, data_ids: Sequence[str], project: str | None = None) -> list[FeedbackRow]:
        with self._connected() as connection:
            return history_of(connection, data_ids, project)

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        bindings = {"external_id": external_id, "project": project}
        found = self._rows(SQL["resolve_alias"], bindings)
        return str(found[0][0]) if found else None

    def put_alias(self, project: str, external_id: str, data_id: str) -> None:
        bindings = {"external_id": external_id, "project": project, "data_id": data_id}
        self._execute("put_alias", bindings)

    def feedback_types(self, project: str) -> dict[str, FeedbackType]:
        found = self._rows(SQL["feedback_types"], {"project": project})
        return {name: from_json_definition(definition) for name, definition in found}

    def put_feedback_type(self, project: str, definition: FeedbackType) -> None:
        body = as_json_definition(definition)
        bindings = {"project": project, "name": definition.name, "definition": body}
        self._execute("put_feedback_type", bindings)

    def projects(self) -> list[str]:
        return [project for (project,) in self._rows(SQL["projects"], {})]

    def setting(self, name: str, make: Callable[[], str]) -> str:
        found = self._rows(SQL["get_setting"], {"name": name})
        if not found:
            self._execute("make_setting", {"name": name, "value": make()})
            found = self._rows(SQL["get_setting"], {"name": name})
        return str(found[0][0])

    def document(self, kind: str, project: str, name: str) -> str | None:
        found = self._rows(SQL["document"], {"kind": kind, "project": project, "name": name})
        return str(found[0][0]) if found else None

    def documents(self, kind: str, project: str | None = None) -> list[tuple[str, str, str]]:
        found = self._rows(SQL["documents"], {"kind": kind, "project": project})
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
        return self._execute("drop_document", key) > 0

    def erase(self, user: str, project: str | None = None) -> int:
        bindings = {"user": user, "project": project}
        erased = 0
        with self._transaction() as connection:
            connection.execute(SQL["lock_out_writers"], {"gone": REMOVAL_LOCK})
            for name in ("erase_aliases", "erase_current", "erase_stubs", "erase_feedback",
                         "erase_generations"):  # fmt: skip
                erased += connection.execute(SQL[name], bindings).rowcount
            tombstone = {"kind": tombstones.KIND, "project": project or tombstones.EVERYWHERE,
                         "name": tombstones.name_of(user), "replace": True}  # fmt: skip
            body = str(time.time_ns() // 1_000)
            connection.execute(SQL["put_document"], {**tombstone, "body": body})
        return erased

    def drop_before(self, until: int) -> int:
        """As every store, and whole months go by dropping their tables, at next to no cost."""
        kind, project, name = tombstones.FLOOR
        floor = {"kind": kind, "project": project, "name": name, "body": str(until)}
        with self._transaction() as connection:
            connection.execute(SQL["lock_out_writers"], {"gone": REMOVAL_LOCK})
            connection.execute(SQL["put_document"], {**floor, "replace": True})
            gone = connection.execute(SQL["drop_keys_before"], {"until": until}).fetchall()[0][0]
            for (table,) in connection.execute(SQL["partitions"]).fetchall():
                if partition_before(table, until):
                    drop = sql.SQL("DROP TABLE {}").format(sql.Identifier(table))
                    connection.execute(drop)
            connection.execute(SQL["drop_generations_before"], {"until": until})
            self._months = set()
        return int(gone)

    def forget_after_fork(self) -> None:
        # The parent's sockets must not be closed from here, so they are leaked instead.
        _LEAKED.append(self._pool)
        self._pool, self._lock = None, threading.Lock()

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=1.0)

    def _rows(self, statement: LiteralString, bindings: Bindings) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            return connection.execute(statement, bindings).fetchall()

    def _execute(self, name: str, bindings: Bindings) -> int:
        with self._transaction() as connection:
            return connection.execute(SQL[name], bindings).rowcount

    @contextmanager
    def _transaction(self) -> Generator[Connection]:
        with self._connected() as connection, connection.transaction():
            yield connection

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        with errors_of(self.url):
            pool = self._pool or self._opened()
            with borrowed(pool) as connection:
                yield connection

    def _opened(self) -> ConnectionPool[Connection]:
        with self._lock:
            if self._pool is None:
                # Without the pool, which would not tell why there is no connection.
                with connected(self._url) as connection:
                    migrate(connection, self.url)
                self._pool = open_pool(self._url)
            return self._pool

    def _make_partitions(self, times: Sequence[int]) -> None:
        for month in months_of(times) - self._months:
            with self._connected() as connection:
                make_partition(connection, month)
            self._months.add(month)


def _removals(connection: Connection) -> Removals:
    floor, has_tombstones = connection.execute(SQL["removals"]).fetchall()[0]

    def erased_at(project: str, name: str) -> int | None:
        key = {"kind": tombstones.KIND, "project": project, "name": name}
        found = connection.execute(SQL["document"], key).fetchone()
        return None if found is None else int(found[0])

    return Removals(None if floor is None else int(floor), erased_at if has_tombstones else None)


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


__all__ = ["PostgresStore", "open_store"]
