"""Rows of generations and feedback in PostgreSQL, written inside a transaction (layer 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString, cast

from afterword.feedback.current import current, repeated, surplus
from afterword.feedback.rows import COLUMNS as FEEDBACK_COLUMNS
from afterword.feedback.rows import FeedbackRow
from afterword.model import TERMINAL_STATUSES
from afterword.stores.postgres_schema import Connection
from afterword.stores.rows import COLUMNS as GENERATION_COLUMNS
from afterword.stores.rows import GenerationRow, alone, merge, patched, settle, waiting
from afterword.stores.sql import statements

SQL: dict[str, LiteralString] = cast("Any", statements("postgres"))
SELECT_GENERATION: LiteralString = SQL["select_generation"] + " "
GENERATION_BY_ID: LiteralString = SELECT_GENERATION + SQL["by_id"]
GENERATIONS_BY_IDS: LiteralString = SELECT_GENERATION + SQL["by_ids"]
_GENERATIONS_BY_KEYS: LiteralString = SELECT_GENERATION + SQL["by_keys"]
_FIRST_LOCK = 0x4146_5457_0000_0000
_SAME_FEEDBACK: LiteralString = SQL["select_feedback"] + " " + SQL["same_feedback"]
_FEEDBACK_BY_KEY: LiteralString = SQL["select_feedback"] + " " + SQL["by_key"]
_FEEDBACK_OF: LiteralString = SQL["select_feedback"] + " " + SQL["by_generations"]


#: PostgreSQL's table of locks has room for some thousands, of all transactions together.
_LOCKS = 1_024


def lock_keys(data_ids: Iterable[str]) -> list[int]:
    """What stands for data IDs among PostgreSQL's advisory locks, in the order they are taken in."""
    digests = (hashlib.blake2b(data_id.encode(), digest_size=2).digest() for data_id in data_ids)
    return sorted({_FIRST_LOCK + int.from_bytes(digest) % _LOCKS for digest in digests})


def put_generations(connection: Connection, rows: Sequence[GenerationRow]) -> set[tuple[str, str]]:
    """Write a batch; gives the projects and IDs of those that had ended before."""
    batch: dict[tuple[str, str], GenerationRow] = {}
    for row in rows:
        key = (row.id, row.project)
        batch[key] = merge(batch[key], row) if key in batch else patched(row)
    made = connection.execute(
        SQL["insert_keys"],
        {
            "ids": [row.id for row in batch.values()],
            "projects": [row.project for row in batch.values()],
            "times": [row.created_at for row in batch.values()],
        },
    )
    fresh = {(data_id, project) for data_id, project in made}
    there = [key for key in batch if key not in fresh]
    _insert(connection, [row for key, row in batch.items() if key in fresh])
    known = _merge_known(connection, {key: batch[key] for key in there}) if there else set()
    _settle_awaited(connection, rows)
    return known


def _merge_known(
    connection: Connection, batch: dict[tuple[str, str], GenerationRow]
) -> set[tuple[str, str]]:
    found = connection.execute(
        _GENERATIONS_BY_KEYS,
        {"ids": [key[0] for key in batch], "projects": [key[1] for key in batch]},
    ).fetchall()
    changed: list[GenerationRow] = []
    known: set[tuple[str, str]] = set()
    for columns in found:
        old = generation_row(columns)
        if old.status in TERMINAL_STATUSES:
            known.add((old.project, old.id))
        merged = merge(old, batch[old.id, old.project])
        if merged != old:
            bindings = {"id": old.id, "project": old.project, "created_at": old.created_at}
            connection.execute(SQL["drop_generation"], bindings)
            if merged.created_at != old.created_at:
                bindings["created_at"] = merged.created_at
                connection.execute(SQL["move_key"], bindings)
            changed.append(merged)
    _insert(connection, changed)
    return known


def _insert(connection: Connection, rows: Sequence[GenerationRow]) -> None:
    if rows:
        values = {name: [getattr(row, name) for row in rows] for name in GENERATION_COLUMNS}
        connection.execute(SQL["insert_generations"], values)


def _settle_awaited(connection: Connection, rows: Sequence[GenerationRow]) -> None:
    """Join feedback that came before its generation, in a project it could only guess."""
    awaited = connection.execute(SQL["awaited"], {"data_ids": [row.id for row in rows]}).fetchall()
    arrived = {row.id: row.project for row in rows if row.status != "waiting"}
    for (data_id,) in awaited:
        if data_id in arrived:
            bindings = {"data_id": data_id, "project": arrived[data_id]}
            for name in ("clear_current", "drop_stubs", "settle_feedback"):
                connection.execute(SQL[name], bindings)
            _insert_current(connection, history_of(connection, [data_id], arrived[data_id]))


def put_feedback(connection: Connection, rows: Sequence[FeedbackRow]) -> list[FeedbackRow]:
    """Write statements; gives them as they are kept. Most are the first of their key: these go together."""
    kept = list(rows)
    first = alone(rows)
    fresh: list[int] = []
    stubs: dict[tuple[str, str], GenerationRow] = {}
    if first:
        found = connection.execute(SQL["places_of_feedback"], _columns([rows[i] for i in first]))
        for index, (is_known, place) in zip(first, found.fetchall(), strict=True):
            if not is_known:
                row = rows[index]
                fresh.append(index)
                settle(row, place)
                if place is None or place[0] != row.project:
                    stubs.setdefault((row.data_id, row.project), waiting(row))
        if len({rows[index].id for index in fresh}) < len(fresh):
            fresh, stubs = [], {}  # two of one ID, of which the second is a retry
    if fresh:
        _put_stubs(connection, list(stubs.values()))
        bindings = _columns([rows[index] for index in fresh])
        connection.execute(SQL["insert_feedback_rows"], bindings)
        connection.execute(SQL["insert_current_rows"], bindings)
    for index in sorted(set(range(len(rows))) - set(fresh)):
        kept[index] = _put_feedback(connection, rows[index])
    return kept


def _columns(rows: Sequence[FeedbackRow]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in FEEDBACK_COLUMNS}


def _put_stubs(connection: Connection, stubs: Sequence[GenerationRow]) -> None:
    if not stubs:
        return
    keys = {
        "ids": [stub.id for stub in stubs],
        "projects": [stub.project for stub in stubs],
        "times": [stub.created_at for stub in stubs],
    }
    made = set(connection.execute(SQL["insert_keys"], keys).fetchall())
    _insert(connection, [stub for stub in stubs if (stub.id, stub.project) in made])


def _put_feedback(connection: Connection, row: FeedbackRow) -> FeedbackRow:
    if row.provisional:
        place = connection.execute(SQL["project_of"], {"id": row.data_id, "project": row.project})
        settle(row, place.fetchone())
    bindings = {name: getattr(row, name) for name in FEEDBACK_COLUMNS}
    same = connection.execute(_SAME_FEEDBACK, bindings).fetchone()
    if same is not None:
        return _feedback_row(same)
    found_rows = connection.execute(_FEEDBACK_BY_KEY, bindings).fetchall()
    history = [_feedback_row(columns) for columns in found_rows]
    twin = repeated(history, row)
    if twin is not None:
        return twin
    _put_stubs(connection, [waiting(row)])
    connection.execute(SQL["insert_feedback"], bindings)
    history.append(row)
    for found in surplus(history, row):
        connection.execute(SQL["drop_feedback"], {"id": found.id, "project": found.project})
    connection.execute(SQL["drop_current"], bindings)
    _insert_current(connection, history)
    return row


def _insert_current(connection: Connection, history: Sequence[FeedbackRow]) -> None:
    for found in current(history):
        bindings = {name: getattr(found, name) for name in FEEDBACK_COLUMNS}
        connection.execute(SQL["insert_current"], bindings)


def history_of(
    connection: Connection, data_ids: Sequence[str], project: str | None
) -> list[FeedbackRow]:
    bindings = {"data_ids": list(data_ids), "project": project}
    found = connection.execute(_FEEDBACK_OF, bindings).fetchall()
    return [_feedback_row(columns) for columns in found]


def generation_row(columns: Sequence[Any]) -> GenerationRow:
    return GenerationRow(**dict(zip(GENERATION_COLUMNS, columns, strict=True)))


def _feedback_row(columns: Sequence[Any]) -> FeedbackRow:
    return FeedbackRow(**dict(zip(FEEDBACK_COLUMNS, columns, strict=True)))
