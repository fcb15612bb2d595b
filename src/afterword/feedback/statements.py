"""From what a caller said to rows that can be kept (layer 1).

Reading an entry and fitting it to a type are pure: the whole list is judged before any of it is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from afterword.codec import clean, plain, to_json
from afterword.errors import FeedbackRejected, InvalidInput
from afterword.feedback.classes import feedback_class
from afterword.feedback.rows import FeedbackRow
from afterword.ids import check_data_id, is_data_id
from afterword.model import SOURCES, FeedbackType, to_microseconds
from afterword.redaction import Redactor
from afterword.snapshot import snapshot

_FIELDS = (
    "data_id", "type", "value", "user", "source", "comment", "metadata", "created_at", "unset", "id",
)  # fmt: skip
_MAX_USER_CHARS = 1_000
_MAX_ALIAS_CHARS = 512
_MAX_TEXT_CHARS = 1_000_000


class Statement(msgspec.Struct, kw_only=True):
    """One entry of feedback as given, its fields checked but its value not yet fitted to a type."""

    data_id: str
    type: str
    value: Any = None
    user: str | None = None
    source: str | None = None
    comment: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: int | None = None
    unset: bool = False
    id: str | None = None


def read(
    entry: Any,
    *,
    default_data_id: Callable[[], str],
    resolve: Callable[[str], str] = check_data_id,
    index: int | None = None,
) -> Statement:
    """A statement from a mapping of its fields. `resolve` turns an alias into its data ID.

    Raises:
        FeedbackRejected: a field is missing, unknown or of the wrong kind; the message names it.
        NoGenerationInContext: from `default_data_id`, when there is no data ID at all.
    """
    try:
        return _read(entry, default_data_id, resolve)
    except InvalidInput as error:
        where = "" if index is None else f"entry {index}: "
        raise FeedbackRejected(
            f"{where}{error}", field=error.field, allowed=error.allowed, index=index
        ) from None


def _read(
    entry: Any, default_data_id: Callable[[], str], resolve: Callable[[str], str]
) -> Statement:
    if not isinstance(entry, Mapping):
        raise InvalidInput("an entry of feedback is a mapping of its fields", field="feedback")
    for name in entry:
        if name not in _FIELDS:
            raise InvalidInput(
                f"unknown field {name!r:.100}; known: {', '.join(_FIELDS)}",
                field=str(name)[:100],
                allowed=_FIELDS,
            )
    data_id = entry.get("data_id")
    if data_id is not None and (not isinstance(data_id, str) or len(data_id) > _MAX_ALIAS_CHARS):
        check_data_id(None)
    kind = entry.get("type")
    if not isinstance(kind, str) or not kind:
        raise InvalidInput("type must name a feedback type", field="type")
    source = entry.get("source")
    if source is not None and source not in SOURCES:
        raise InvalidInput(
            f"source must be one of: {', '.join(SOURCES)}", field="source", allowed=SOURCES
        )
    metadata = entry.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidInput("metadata must be a mapping", field="metadata")
    unset = entry.get("unset", False)
    if unset is not None and not isinstance(unset, bool):
        raise InvalidInput("unset must be true or false", field="unset")
    given_id = entry.get("id")
    if given_id is not None and not is_data_id(given_id):
        raise InvalidInput("id must be 1 to 128 characters of A-Z a-z 0-9 . _ -", field="id")
    value = entry.get("value")
    return Statement(
        data_id=default_data_id() if data_id is None else resolve(data_id),
        type=kind,
        value=value,
        user=_text(entry, "user", _MAX_USER_CHARS),
        source=source,
        comment=_text(entry, "comment", _MAX_TEXT_CHARS),
        metadata=None if metadata is None else plain(snapshot(dict(metadata))),
        created_at=moment(entry.get("created_at")),
        unset=bool(unset) or value is None,
        id=given_id,
    )


def _text(entry: Mapping[str, Any], field: str, limit: int) -> str | None:
    value = entry.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be text", field=field)
    if len(value) > limit:
        raise InvalidInput(f"{field} must be at most {limit:,} characters", field=field)
    return value


def moment(value: Any) -> int | None:
    """Microseconds since 1970 of a given time; None of None.

    Raises:
        InvalidInput: it is no datetime, ISO 8601 text or number of seconds.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput("created_at must be an ISO 8601 time", field="created_at") from None
    if isinstance(value, datetime):
        return to_microseconds(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value < 253_402_300_800:
            return int(value * 1_000_000)
    raise InvalidInput(
        "created_at must be a datetime, an ISO 8601 time or seconds since 1970", field="created_at"
    )


def fit(
    statement: Statement,
    types: Mapping[str, FeedbackType],
    *,
    project: str,
    now: int,
    new_id: Callable[[], str],
    redactor: Redactor,
    subject: str | None = None,
    index: int | None = None,
) -> list[FeedbackRow]:
    """The rows that keep a statement: one, or one a label for several labels at once.

    Raises:
        FeedbackRejected: unknown type or label, or a value of the wrong class.
    """
    definition = types.get(statement.type)
    where = "" if index is None else f"entry {index}: "
    if definition is None:
        raise FeedbackRejected(
            f"{where}unknown feedback type {statement.type!r:.100}; known: {', '.join(types)}",
            field="type",
            allowed=tuple(types),
            index=index,
        )
    module = feedback_class(definition.cls)
    values: list[Any] = [None]
    if not statement.unset or (module.KEEPS_SEVERAL and statement.value is not None):
        try:
            values = list(module.accept(definition, statement.value))
        except FeedbackRejected as error:
            raise FeedbackRejected(
                f"{where}{error}", field=error.field, allowed=error.allowed, index=index
            ) from None
    sentiments = {label.name: label.sentiment for label in definition.labels}
    first_id = statement.id or new_id()
    source = statement.source or ("code" if statement.user is None else "end_user")
    metadata = None
    if statement.metadata is not None:
        metadata = to_json(redactor.value(statement.metadata))
    comment = None
    if statement.comment is not None and not statement.unset:
        comment = to_json(redactor.text(statement.comment))
    user = None if statement.user is None else clean(statement.user)
    rows: list[FeedbackRow] = []
    for position, value in enumerate(values):
        if definition.cls == "text" and value is not None:
            value = redactor.text(value)
        rows.append(
            FeedbackRow(
                id=first_id if position == 0 else f"{first_id[:120]}.{position}",
                project=project,
                data_id=statement.data_id,
                type=statement.type,
                label=str(value) if module.KEEPS_SEVERAL and value is not None else "",
                several=module.KEEPS_SEVERAL,
                value=None if value is None else to_json(value),
                sentiment=sentiments.get(value) if isinstance(value, str) else None,
                signal=definition.signal,
                user=user,
                subject=subject,
                rater=user or subject or "",
                source=source,
                comment=comment,
                metadata=metadata,
                created_at=now if statement.created_at is None else statement.created_at,
                received_at=now,
                unset=statement.unset,
            )
        )
    return rows
