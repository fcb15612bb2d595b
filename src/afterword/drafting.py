"""A generation logged by hand: its fields checked and made into a draft (layer 3)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from afterword.codec import to_json
from afterword.context import current_trail, innermost, running
from afterword.delivery.drafts import Draft
from afterword.errors import InvalidInput
from afterword.feedback.statements import moment
from afterword.ids import check_data_id, new_id
from afterword.redaction import Redactor
from afterword.snapshot import snapshot

_TEXT = ("name", "version", "session", "user", "model", "provider")


def draft(fields: dict[str, Any], redactor: Redactor) -> tuple[Draft, str]:
    """The draft of a generation and its data ID.

    Raises:
        InvalidInput: a field is not usable; the message names it.
    """
    trail = current_trail()
    data_id = new_id() if fields["data_id"] is None else check_data_id(fields["data_id"])
    parent_id, root_id = fields["parent_id"], None
    if parent_id is None:
        parent = running(innermost())
        parent_id = None if parent is None else parent.data_id
        root_id = data_id if parent is None else getattr(parent, "root_id", None)
    else:
        check_data_id(parent_id, "parent_id")
    if trail is not None:
        fields["user"] = trail.user if fields["user"] is None else fields["user"]
        fields["session"] = trail.session if fields["session"] is None else fields["session"]
    created_at = moment(fields["created_at"])
    columns: dict[str, Any] = {
        "id": data_id,
        "project": fields["project"],
        "parent_id": parent_id,
        "root_id": root_id,
        "status": "ok" if fields["error"] is None else "error",
        "created_at": time.time_ns() // 1000 if created_at is None else created_at,
        "duration_ms": _number(fields["duration_s"], "duration_s", 1000.0),
        "cost_usd": _number(fields["cost_usd"], "cost_usd", 1.0),
        **usage_columns(fields["usage"]),
    }
    for name in _TEXT:
        value = fields[name]
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"{name} must be text", field=name)
        columns[name] = value
    tags = tag_list(fields["tags"])
    columns["tags"] = to_json(redactor.value(tags)) if tags else None
    values = {
        name: snapshot(fields[name])
        for name in ("inputs", "messages", "output")
        if fields[name] is not None
    }
    metadata = fields["metadata"]
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidInput("metadata must be a mapping", field="metadata")
    if metadata:
        values["metadata"] = snapshot(dict(cast("Mapping[str, Any]", metadata)))
    if fields["error"] is not None:
        values["error"] = snapshot(_error(fields["error"]))
    return Draft(columns, values, redactor), data_id


def usage_columns(usage: object) -> dict[str, int | None]:
    """The two token counts of a usage mapping or object.

    Raises:
        InvalidInput: it has neither or they are no counts.
    """
    if usage is None:
        return {"input_tokens": None, "output_tokens": None}
    out: dict[str, int | None] = {}
    for name, other in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        if isinstance(usage, Mapping):
            found = cast("Mapping[str, Any]", usage)
            count = found.get(name, found.get(other))
        else:
            count = getattr(usage, name, getattr(usage, other, None))
        if count is not None and (type(count) is not int or not 0 <= count < 1 << 62):
            raise InvalidInput(f"usage.{name} must be a whole number from 0", field=f"usage.{name}")
        out[name] = count
    return out


def tag_list(tags: object) -> list[str]:
    """The tags as a list without repeats.

    Raises:
        InvalidInput: they are not a list of texts.
    """
    if isinstance(tags, str) or not hasattr(tags, "__iter__"):
        raise InvalidInput("tags must be a list of texts", field="tags")
    found = list(cast("list[Any]", tags))
    if not all(isinstance(tag, str) for tag in found):
        raise InvalidInput("tags must be a list of texts", field="tags")
    return list(dict.fromkeys(found))


def _number(value: Any, field: str, factor: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15:
        return float(value) * factor
    raise InvalidInput(f"{field} must be a number from 0", field=field)


def _error(error: Any) -> dict[str, str]:
    if isinstance(error, BaseException):
        return {"type": type(error).__qualname__, "message": str(error)}
    if isinstance(error, Mapping):
        found = cast("Mapping[str, Any]", error)
        return {"type": str(found.get("type", "Error")), "message": str(found.get("message", ""))}
    if isinstance(error, str):
        return {"type": "Error", "message": error}
    raise InvalidInput("error must be an exception, a mapping or text", field="error")
