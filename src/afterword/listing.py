"""Reading back: filters checked, pages and single generations with their feedback (layer 3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from afterword.codec import clean, to_json
from afterword.errors import InvalidInput
from afterword.feedback.classes import feedback_class
from afterword.feedback.rows import FeedbackRow
from afterword.model import STATUSES, FeedbackType, Generation, Page, to_microseconds
from afterword.stores.protocol import Query, Store
from afterword.stores.rows import GenerationRow, to_generation

MAX_LIMIT = 500

_SENTIMENTS = ("positive", "negative")
_COLUMNS = ("project", "name", "version", "model", "user", "session")


def query(filters: Mapping[str, Any], types: Mapping[str, FeedbackType]) -> Query:
    """The query that a caller's filters ask for.

    Raises:
        InvalidInput: a filter is not usable; the message names it.
    """
    for name in (*_COLUMNS, "text"):
        if filters[name] is not None and not isinstance(filters[name], str):
            raise InvalidInput(f"{name} must be text", field=name)
    _one_of("status", filters["status"], STATUSES)
    _one_of("sentiment", filters["sentiment"], _SENTIMENTS)
    limit = filters["limit"]
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(f"limit must be a whole number from 1 to {MAX_LIMIT}", field="limit")
    return Query(
        **{name: clean(filters[name]) if filters[name] else None for name in _COLUMNS},
        text=filters["text"] or None,
        status=filters["status"],
        sentiment=filters["sentiment"],
        since=_moment("since", filters["since"]),
        until=_moment("until", filters["until"]),
        feedback=_feedback(filters["feedback"], types),
        limit=limit,
        after=_position(filters["after"]),
    )


def page(store: Store, wanted: Query) -> Page[Generation]:
    """The generations that a query asks for, with their feedback."""
    found, following = rows_with_feedback(store, wanted)
    return Page([to_generation(row, history) for row, history in found], following)


def rows_with_feedback(
    store: Store, wanted: Query
) -> tuple[list[tuple[GenerationRow, list[FeedbackRow]]], str | None]:
    """The rows that a query asks for, each with its feedback, and what `after` of the next page is."""
    # One more than wanted tells whether a page follows.
    rows = store.generations(msgspec.structs.replace(wanted, limit=wanted.limit + 1))
    last = rows[wanted.limit - 1] if len(rows) > wanted.limit else None
    rows = rows[: wanted.limit]
    history: dict[tuple[str, str], list[FeedbackRow]] = {}
    for found in store.history([row.id for row in rows], wanted.project) if rows else ():
        history.setdefault((found.data_id, found.project), []).append(found)
    return (
        [(row, history.get((row.id, row.project), [])) for row in rows],
        None if last is None else f"{last.created_at}~{last.id}~{last.project}",
    )


def one(store: Store, data_id: str, *, rather: str) -> Generation | None:
    """A generation with its feedback; of several with an ID from outside, that of project `rather`."""
    row = store.generation(data_id)
    if row is None:
        return None
    if row.project != rather:
        own = store.generation(data_id, rather)
        if own is not None and own.status != "waiting":
            row = own
    return to_generation(row, store.history([row.id], row.project))


def _position(after: Any) -> tuple[int, str, str] | None:
    if after is None:
        return None
    parts = after.split("~", 2) if isinstance(after, str) else []
    created_at, data_id, project = parts if len(parts) == 3 else ("", "", "")
    if not created_at.lstrip("-").isdecimal() or len(created_at) > 18 or not data_id:
        raise InvalidInput("after must be the `next` of an earlier page", field="after")
    return int(created_at), clean(data_id), clean(project)


def _feedback(wanted: Any, types: Mapping[str, FeedbackType]) -> dict[str, str | None]:
    if wanted is None:
        return {}
    if not isinstance(wanted, Mapping):
        raise InvalidInput("feedback must map feedback types to values", field="feedback")
    out: dict[str, str | None] = {}
    for name, value in cast("Mapping[str, Any]", wanted).items():
        definition = types.get(name)
        if value is not None and definition is not None:
            try:
                (value,) = feedback_class(definition.cls).accept(definition, value)
            except InvalidInput:
                pass  # a label of an older declaration may still be looked for
            except ValueError:
                raise InvalidInput(
                    f"feedback[{name!r}] is looked for by one value at a time", field="feedback"
                ) from None
        out[str(name)] = None if value is None else to_json(value)
    return out


def _one_of(field: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InvalidInput(
            f"{field} must be one of: {', '.join(allowed)}", field=field, allowed=allowed
        )


def _moment(field: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, datetime):
        return to_microseconds(value)
    raise InvalidInput(f"{field} must be a datetime or an ISO 8601 time", field=field)
