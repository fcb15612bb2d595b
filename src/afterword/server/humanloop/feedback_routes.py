"""``/feedback``: one statement or a list, all of it or nothing (layer 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import anyio

from afterword.client import Client
from afterword.desk import await_
from afterword.errors import FeedbackRejected, NoGenerationInContext
from afterword.feedback.rows import FeedbackRow
from afterword.ids import looks_minted
from afterword.model import SOURCES, Feedback
from afterword.server.humanloop.projects import Project, ProjectBook
from afterword.server.humanloop.recording import make_durable, moment_text
from afterword.server.humanloop.wire import Call, Refused, Routes, unfit

__all__ = ["add_routes", "entry_of", "feedback_rows", "feedback_shape"]

_MAX_ENTRIES = 1_000
_FIELDS = ("data_id", "type", "value", "user", "created_at", "unset")


def add_routes(routes: Routes) -> None:
    """``POST /feedback``."""
    routes.add_async("POST", "/feedback", "feedback", _feedback)


async def _feedback(call: Call) -> Any:
    body = call.body
    if isinstance(body, list):
        given = body
        if len(given) > _MAX_ENTRIES:
            raise Refused(422, f"A list holds at most {_MAX_ENTRIES} entries.")
        if not given:
            return []
    else:
        given = [call.fields]
    listed = isinstance(body, list)
    groups = await anyio.to_thread.run_sync(_judged, call, given, listed)
    kept = await await_(groups, call.client.desk.submit(groups))
    shapes = [feedback_shape(feedback) for feedback in kept]
    for shape, feedback, entry in zip(shapes, kept, given, strict=True):
        if feedback.unset and entry.get("value") is not None:
            shape["value"] = entry["value"]
    return shapes if listed else shapes[0]


def _judged(call: Call, given: list[Any], listed: bool) -> list[list[FeedbackRow]]:
    entries = [
        entry_of(entry, index if listed else None, needs_data_id=True)
        for index, entry in enumerate(given)
    ]
    book = ProjectBook(call.client)
    home = book.by_key(call.access.project or call.client.project)
    _check_places(call, home, entries)
    return feedback_rows(call.client, home, entries, listed=listed)


def entry_of(entry: Any, index: int | None, *, needs_data_id: bool) -> dict[str, Any]:
    """The fields of one statement as the desk takes them.

    Raises:
        Refused: 422 that names the field.
    """
    if not isinstance(entry, dict):
        raise Refused(
            422, [{"loc": ["body", index], "msg": "must be an object", "type": "type_error"}]
        )
    fields = cast("dict[str, Any]", entry)
    for name in ("type", *(("data_id",) if needs_data_id else ())):
        if fields.get(name) is None:
            raise unfit(name, "field required", index, "value_error.missing")
    if "value" not in fields and not fields.get("unset"):
        raise unfit("value", "field required, unless unset is true", index, "value_error.missing")
    out = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
    source = fields.get("source")
    if source in SOURCES:
        out["source"] = source
    elif isinstance(source, str) and source:
        # Humanloop's `source` was free text.
        out["metadata"] = {"source": source[:1000]}
    return out


def feedback_rows(
    client: Client, home: Project, entries: Sequence[dict[str, Any]], *, listed: bool
) -> list[list[FeedbackRow]]:
    """The rows of all entries, after declaring new types where the project allows that.

    Raises:
        Refused: 422 that names the field and what may stand in it.
    """
    _declare_new(client, home, entries)
    try:
        groups = client.desk.rows(
            entries, default_data_id=_no_context, listed=listed, project=home.key
        )
    except FeedbackRejected as error:
        raise unfit(error.field or "value", str(error), error.index) from None
    for index, rows in enumerate(groups):
        if any(row.unset and row.several and not row.label for row in rows):
            raise unfit(
                "value", "names the label to take back, for a type that holds several", index
            )
    return groups


def feedback_shape(feedback: Feedback) -> dict[str, Any]:
    """A statement as Humanloop writes it."""
    return {
        "type": feedback.type,
        # With null the SDK gives its caller a plain dict instead of its own type.
        "value": "" if feedback.value is None else feedback.value,
        "data_id": feedback.data_id,
        "user": feedback.user,
        "created_at": moment_text(feedback.created_at),
        "id": feedback.id,
    }


def _no_context() -> str:
    raise NoGenerationInContext


def _check_places(call: Call, home: Project, entries: list[dict[str, Any]]) -> None:
    """Refuse data IDs of other projects, and unknown ones where the project wants that."""
    client = call.client
    if not home.require_known and call.access.project is None:
        return
    make_durable(client)
    for index, entry in enumerate(entries):
        data_id = client.desk.data_id(entry["data_id"])
        row = client.store.generation(data_id, call.access.project)
        if row is None and looks_minted(data_id):
            alias = client.desk.alias_of(data_id)
            row = None if alias is None else client.store.generation(alias, call.access.project)
        place = None if row is not None else client.store.project_of(data_id)
        if place is not None and call.access.project not in (None, place):
            raise Refused(403, f"Entry {index}: this key is for another project.")
        if home.require_known and (row is None or row.status == "waiting"):
            raise Refused(404, f"There is no log {str(entry['data_id'])[:130]!r}.")


def _declare_new(client: Client, home: Project, entries: Sequence[dict[str, Any]]) -> None:
    if not home.accept_new_types:
        return
    known = client.desk.types(home.key, fresh=True)
    for entry in entries:
        name, value = entry.get("type"), entry.get("value")
        if not isinstance(name, str) or name in known or value is None:
            continue
        if isinstance(value, list):
            client.feedback_type(name, "multi_select", labels=value, project=home.key)
        elif isinstance(value, bool):
            client.feedback_type(name, "boolean", project=home.key)
        elif isinstance(value, (int, float)):
            client.feedback_type(name, "number", project=home.key)
        else:
            client.feedback_type(name, "text", project=home.key)
        known = client.desk.types(home.key)
