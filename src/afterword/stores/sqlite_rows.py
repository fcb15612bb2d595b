"""Rows of generations and feedback in SQLite, written inside a transaction (layer 2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import apsw
import msgspec

from afterword.codec import to_json
from afterword.feedback.current import current, repeated, surplus
from afterword.feedback.rows import COLUMNS as FEEDBACK_COLUMNS
from afterword.feedback.rows import FeedbackRow
from afterword.model import TERMINAL_STATUSES
from afterword.stores.rows import COLUMNS as GENERATION_COLUMNS
from afterword.stores.rows import GenerationRow, alone, merge, patched, settle, waiting
from afterword.stores.sql import repeated_values
from afterword.stores.sqlite_files import SQL

SELECT_GENERATION = f"{SQL['select_generation']} "
GENERATIONS_BY_IDS = SELECT_GENERATION + SQL["by_ids"]
#: SQLite lets go of the interpreter's lock once a statement. On a busy server it is long in coming back, and
#: while it is waited for, each system call of the server's own thread costs a vain waking; so a batch takes
#: few statements. Binding the values of one holds the lock, so none is much longer.
_INSERTS = {
    count: repeated_values(SQL["insert_generation"], count) for count in (64, 32, 16, 8, 4, 2, 1)
}
_values = msgspec.structs.astuple
_encode = msgspec.json.Encoder().encode
_PLACE = msgspec.json.Decoder(tuple[str, str])
_PLACES = msgspec.json.Decoder(list[tuple[int, str | None]])
_SELECT_FEEDBACK = f"{SQL['select_feedback']} "


def put_generations(
    connection: apsw.Connection, rows: Sequence[GenerationRow]
) -> set[tuple[str, str]]:
    """Write a batch; gives the projects and IDs of those that had ended before."""
    known: set[tuple[str, str]] = set()
    for row in rows:
        if row.patch is not None:
            patched(row)
    values = list(map(_values, rows))
    before = connection.total_changes()
    connection.execute("SAVEPOINT batch")
    start = 0
    for count, insert in _INSERTS.items():
        while len(values) - start >= count:
            several = tuple(chain.from_iterable(values[start : start + count]))
            connection.execute(insert, several)
            start += count
    if connection.total_changes() - before != len(rows):
        # Some are there already, or twice in the batch: once more, one at a time.
        connection.execute("ROLLBACK TO batch")
        ended_here: set[tuple[str, str]] = set()
        for row in rows:
            key = (row.project, row.id)
            if _put_generation(connection, row) and key not in ended_here:
                known.add(key)
            if row.status in TERMINAL_STATUSES:
                ended_here.add(key)
    connection.execute("RELEASE batch")
    _settle_awaited(connection, rows)
    return known


def _put_generation(connection: apsw.Connection, row: GenerationRow) -> bool:
    """Write one; whether it is there already as having ended."""
    connection.execute(SQL["insert_generation"], _values(row))
    if connection.changes() > 0:
        return False
    old = generation_of(connection, row.id, row.project)
    assert old is not None, "the row that stood in the way is there"
    merged = merge(old, row)
    if merged != old:
        connection.execute(SQL["replace_generation"], _values(merged))
    return old.status in TERMINAL_STATUSES


def _settle_awaited(connection: apsw.Connection, rows: Sequence[GenerationRow]) -> None:
    """Join feedback that came before its generation, in a project it could only guess."""
    awaited = connection.execute(
        SQL["awaited"], {"data_ids": to_json([row.id for row in rows])}
    ).fetchall()
    if awaited:
        arrived = {row.id: row.project for row in rows if row.status != "waiting"}
        for (data_id,) in awaited:
            if data_id in arrived:
                bindings = {"data_id": data_id, "project": arrived[data_id]}
                for name in ("clear_current", "drop_stubs", "settle_feedback"):
                    connection.execute(SQL[name], bindings)
                _insert_current(connection, history_of(connection, [data_id], arrived[data_id]))


def put_feedback(connection: apsw.Connection, rows: Sequence[FeedbackRow]) -> list[FeedbackRow]:
    """Write statements; gives them as they are kept.

    Most are the first of their key, and those go in together: each call of SQLite lets other threads
    run, and gets its turn back when they like.
    """
    kept = list(rows)
    first = alone(rows)
    try:
        asked = _encode([rows[index] for index in first])
    except UnicodeEncodeError:
        first, asked = [], b"[]"
    fresh: list[int] = []
    stubs: list[GenerationRow] = []
    if first:
        found = connection.execute(SQL["places_of_feedback"], {"rows": asked.decode()}).fetchall()
        for index, (is_known, told) in zip(first, _PLACES.decode(str(found[0][0])), strict=True):
            if not is_known:
                row, place = rows[index], None if told is None else _PLACE.decode(told)
                fresh.append(index)
                settle(row, place)
                if place is None or place[0] != row.project:
                    stubs.append(waiting(row))
        if len({rows[index].id for index in fresh}) < len(fresh):
            fresh, stubs = [], []  # two of one ID, of which the second is a retry
    if fresh:
        given = [rows[index] for index in fresh]
        connection.executemany(SQL["insert_generation"], map(_values, stubs))
        connection.executemany(SQL["insert_feedback"], map(_values, given))
        connection.executemany(SQL["insert_current"], map(_current_values, given))
    for index in sorted(set(range(len(rows))) - set(fresh)):
        kept[index] = _put_feedback(connection, rows[index])
    return kept


def _put_feedback(connection: apsw.Connection, row: FeedbackRow) -> FeedbackRow:
    if row.provisional:
        place = connection.execute(SQL["project_of"], {"id": row.data_id, "project": row.project})
        settle(row, place.fetchone())
    bindings = {name: getattr(row, name) for name in FEEDBACK_COLUMNS}
    same = connection.execute(_SELECT_FEEDBACK + SQL["same_feedback"], bindings).fetchone()
    if same is not None:
        return _feedback_row(same)
    found_rows = connection.execute(_SELECT_FEEDBACK + SQL["by_key"], bindings)
    history = [_feedback_row(columns) for columns in found_rows]
    twin = repeated(history, row)
    if twin is not None:
        return twin
    stub = waiting(row)
    connection.execute(SQL["insert_generation"], _values(stub))
    connection.execute(SQL["insert_feedback"], _values(row))
    history.append(row)
    for found in surplus(history, row):
        connection.execute(SQL["drop_feedback"], (found.id, found.project))
    connection.execute(SQL["drop_current"], bindings)
    _insert_current(connection, history)
    return row


def _insert_current(connection: apsw.Connection, history: Sequence[FeedbackRow]) -> None:
    for found in current(history):
        connection.execute(SQL["insert_current"], _current_values(found))


def _current_values(row: FeedbackRow) -> tuple[Any, ...]:
    return (row.project, row.data_id, row.type, row.rater, row.label, row.value, row.sentiment)


def history_of(
    connection: apsw.Connection, data_ids: Sequence[str], project: str | None
) -> list[FeedbackRow]:
    found = connection.execute(
        _SELECT_FEEDBACK + SQL["by_generations"],
        {"data_ids": to_json(list(data_ids)), "project": project},
    )
    return [_feedback_row(columns) for columns in found]


def generation_of(
    connection: apsw.Connection, data_id: str, project: str | None
) -> GenerationRow | None:
    found = connection.execute(
        SELECT_GENERATION + SQL["by_id"], {"id": data_id, "project": project}
    ).fetchone()
    return None if found is None else generation_row(found)


def generation_row(columns: Sequence[Any]) -> GenerationRow:
    return GenerationRow(**dict(zip(GENERATION_COLUMNS, columns, strict=True)))


def _feedback_row(columns: Sequence[Any]) -> FeedbackRow:
    row = FeedbackRow(**dict(zip(FEEDBACK_COLUMNS, columns, strict=True)))
    row.several, row.unset = bool(row.several), bool(row.unset)
    row.provisional = bool(row.provisional)
    return row
