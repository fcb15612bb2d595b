"""Listings: filters checked, cursors made and read (layer 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from afterword.codec import to_json
from afterword.errors import InvalidInput
from afterword.feedback.classes import feedback_class
from afterword.model import STATUSES, FeedbackType, to_microseconds
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

MAX_LIMIT = 500

_SENTIMENTS = ("positive", "negative")
_TEXT = ("project", "name", "version", "model", "user", "session", "text")


def query(filters: Mapping[str, Any], types: Mapping[str, FeedbackType]) -> Query:
    """The query that a caller's filters ask for.

    Raises:
        InvalidInput: a filter is not usable; the message names it.
    """
    for name in _TEXT:
        if filters[name] is not None and not isinstance(filters[name], str):
            raise InvalidInput(f"{name} must be text", field=name)
    _one_of("status", filters["status"], STATUSES)
    _one_of("sentiment", filters["sentiment"], _SENTIMENTS)
    limit = filters["limit"]
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(f"limit must be a whole number from 1 to {MAX_LIMIT}", field="limit")
    return Query(
        **{name: filters[name] or None for name in _TEXT},
        status=filters["status"],
        sentiment=filters["sentiment"],
        since=_moment("since", filters["since"]),
        until=_moment("until", filters["until"]),
        feedback=_feedback(filters["feedback"], types),
        limit=limit,
        after=_position(filters["after"]),
    )


def cursor(rows: Sequence[GenerationRow], limit: int) -> str | None:
    """What to pass as `after` for the page that follows these rows; None when none can."""
    if len(rows) < limit:
        return None
    return f"{rows[-1].created_at}~{rows[-1].id}"


def _position(after: Any) -> tuple[int, str] | None:
    if after is None:
        return None
    created_at, tilde, data_id = after.partition("~") if isinstance(after, str) else ("", "", "")
    if not tilde or not created_at.lstrip("-").isdecimal() or len(created_at) > 18 or not data_id:
        raise InvalidInput("after must be the `next` of an earlier page", field="after")
    return int(created_at), data_id


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
                value = feedback_class(definition.cls).accept(definition, value)[0]
            except InvalidInput:
                pass  # a label of an older declaration may still be looked for
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
