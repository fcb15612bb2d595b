"""Logs: made by hand, listed, read, completed later, deleted, exported (layer 5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from afterword.codec import clean, from_json, to_json
from afterword.delivery.drafts import Draft
from afterword.desk import wait
from afterword.errors import InvalidInput
from afterword.feedback.rows import FeedbackRow
from afterword.ids import check_external_id, new_id
from afterword.model import to_microseconds
from afterword.prompts import PromptShelf, PromptVersion
from afterword.server.humanloop.asked import version_of
from afterword.server.humanloop.feedback_routes import entry_of, feedback_rows
from afterword.server.humanloop.log_shapes import LogShapes
from afterword.server.humanloop.paging import numbered
from afterword.server.humanloop.projects import Project, ProjectBook
from afterword.server.humanloop.recording import (
    EXTRAS,
    generation_draft,
    lineage,
    make_durable,
    put,
)
from afterword.server.humanloop.wire import Call, Refused, Routes, unfit
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow, to_generation

__all__ = ["add_routes"]

_DELETED = "deleted_log"
_EXTRAS = (
    "source", "reference_id", "environment", "source_datapoint_id", "judgment", "stdout",
    "output_message", "prompt_cost", "output_cost", "provider_request", "provider_response",
)  # fmt: skip
_MAX_ENTRIES = 1_000


def add_routes(routes: Routes) -> None:
    """``/logs``, its items, and the export of a project."""
    routes.add("POST", "/logs", "ingest", _log)
    routes.add("GET", "/logs", "read", _list)
    routes.add("PATCH", "/logs", "ingest", _update_by_reference)
    routes.add("DELETE", "/logs", "admin", _delete, 204)
    routes.add("GET", "/logs/{id}", "read", _get)
    routes.add("PATCH", "/logs/{id}", "ingest", _update)
    routes.add("POST", "/projects/{id}/export", "read", _export)


class _Entry(msgspec.Struct):
    """A log that was read and checked, not yet written."""

    project: Project
    record: Draft
    data_id: str
    session: str | None
    reference: str | None
    feedback: list[list[FeedbackRow]]


def _log(call: Call) -> Any:
    listed = isinstance(call.body, list)
    bodies = cast("list[Any]", call.body) if listed else [call.fields]
    if len(bodies) > _MAX_ENTRIES:
        raise Refused(422, f"A list holds at most {_MAX_ENTRIES} logs.")
    entries = [
        _entry(
            Call(call.client, call.access, call.path, call.query, body), index if listed else None
        )
        for index, body in enumerate(bodies)
    ]
    for entry in entries:
        put(call.client, entry.record)
        if entry.reference is not None:
            call.client.store.put_alias(entry.project.key, entry.reference, entry.data_id)
    make_durable(call.client)
    groups = [group for entry in entries for group in entry.feedback]
    if groups:
        wait(groups, call.client.desk.submit(groups))
    shapes = [
        {"id": entry.data_id, "project_id": entry.project.id, "session_id": entry.session}
        for entry in entries
    ]
    return shapes if listed else shapes[0]


def _entry(call: Call, index: int | None) -> _Entry:
    fields = call.fields
    project = ProjectBook(call.client).of(call, create=True)
    version, config = _config(call, project)
    duration = fields.get("duration")
    save = fields.get("save") is not False
    extras = {name: fields[name] for name in _EXTRAS if fields.get(name) is not None}
    if not save:
        extras = {"save": False, "reference_id": extras.get("reference_id")}
    reference = call.text("reference_id")
    if reference is not None:
        reference = clean(check_external_id(reference))
    output = fields.get("output")
    if output is None and isinstance(fields.get("output_message"), dict):
        output = fields["output_message"].get("content")
    kin = lineage(call, project.key)
    # A log without an output may get it later.
    is_open = fields.get("output") is None and output is None and fields.get("error") is None
    metadata = fields.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise unfit("metadata", "must be an object", index)
    costs = [
        fields[name] for name in ("prompt_cost", "output_cost") if fields.get(name) is not None
    ]
    try:
        record, data_id = generation_draft(
            call.client,
            project.key,
            status="running" if is_open else None,
            inputs=fields.get("inputs") if save else None,
            messages=fields.get("messages") if save else None,
            output=output if save else None,
            error=call.text("error"),
            duration_s=duration,
            created_at=fields.get("created_at"),
            cost_usd=sum(costs) if costs else None,
            name=None if version is None else version.name,
            version=None if version is None else version.id,
            model=None if version is None else version.model,
            provider=None if version is None else version.provider,
            usage={
                "input_tokens": fields.get("prompt_tokens"),
                "output_tokens": fields.get("output_tokens"),
            },
            metadata=metadata,
            user=call.text("user"),
            extras={**extras, "config": config},
            **kin,
        )
    except InvalidInput as error:
        raise unfit(error.field or "body", str(error), index) from None
    except TypeError:
        raise unfit("prompt_cost", "must be a number", index) from None
    given: Any = fields.get("feedback")
    if given is not None and not call.access.may("feedback"):
        raise Refused(403, "This key lacks the scope feedback.")
    groups: list[list[FeedbackRow]] = []
    if given is not None:
        call.client.desk.note_place(data_id, project.key)
        statements = given if isinstance(given, list) else [given]
        checked = [entry_of(statement, index, needs_data_id=False) for statement in statements]
        checked = [{**statement, "data_id": data_id} for statement in checked]
        groups = feedback_rows(call.client, project, checked, listed=True)
    return _Entry(project, record, data_id, kin["session"], reference, groups)


def _config(call: Call, project: Project) -> tuple[PromptVersion | None, dict[str, Any] | None]:
    """The version a log names or brings; a config that is no model's is kept as it is."""
    shelf = PromptShelf(call.client.store)
    version_id = call.text("config_id")
    if version_id is not None:
        version = shelf.version(project.key, version_id)
        if version is None:
            raise Refused(404, f"Project {project.name!r} has no config {version_id[:100]!r}.")
        return version, None
    given = call.fields.get("config")
    if given is None:
        return None, None
    if not isinstance(given, dict):
        raise unfit("config", "must be an object")
    config = cast("dict[str, Any]", given)
    if config.get("type", "model") == "model" and config.get("model"):
        return shelf.register(project.key, version_of(config)), None
    return None, config


def _list(call: Call) -> Any:
    project_id = call.query.get("project_id")
    if project_id is None:
        raise Refused(
            422,
            [
                {
                    "loc": ["query", "project_id"],
                    "msg": "field required",
                    "type": "value_error.missing",
                }
            ],
        )
    project = ProjectBook(call.client).by_id(call.access, project_id)
    query = Query(
        project=project.key,
        text=call.query.get("search") or None,
        since=_moment(call, "start_date"),
        until=_moment(call, "end_date"),
    )
    return _page(call, project, query, call.number_of("size", 50, 1, 500))


def _export(call: Call) -> Any:
    project = ProjectBook(call.client).by_id(call.access, call.path["id"])
    return _page(call, project, Query(project=project.key), call.number_of("size", 10, 1, 500))


def _page(call: Call, project: Project, query: Query, size: int) -> dict[str, Any]:
    store = call.client.store
    page = call.number_of("page", 0, 0, 10_000_000)
    sought = call.query.get("metadata_search")
    call.client.flush(2.0)
    deleted = {name for _, name, _ in store.documents(_DELETED, project.key)}

    def keep(row: GenerationRow) -> bool:
        if row.status == "waiting" or row.id in deleted:
            return False
        return not sought or sought.lower() in (row.metadata or "").lower()

    rows, total = numbered(store, query, page, size, keep)
    history: dict[str, list[FeedbackRow]] = {}
    for found in store.history([row.id for row in rows], project.key) if rows else ():
        history.setdefault(found.data_id, []).append(found)
    shapes = LogShapes(call.client, project)
    records = [shapes.shape(to_generation(row, history.get(row.id, []))) for row in rows]
    return {"records": records, "page": page, "size": size, "total": total}


def _get(call: Call) -> Any:
    return _shape(call, _row(call, call.path["id"]))


def _update(call: Call) -> Any:
    return _updated(call, _row(call, call.path["id"]))


def _update_by_reference(call: Call) -> Any:
    reference = call.query.get("reference_id")
    if not reference:
        raise Refused(
            422,
            [
                {
                    "loc": ["query", "reference_id"],
                    "msg": "field required",
                    "type": "value_error.missing",
                }
            ],
        )
    store = call.client.store
    found = store.resolve(clean(reference), call.access.project or call.client.project)
    if found is None:
        found = store.resolve(clean(reference), call.access.project)
    if found is None:
        raise Refused(404, f"There is no log with the reference {reference[:100]!r}.")
    return _updated(call, _row(call, found))


def _updated(call: Call, row: GenerationRow) -> Any:
    client, fields = call.client, call.fields
    error = call.text("error")
    metadata: dict[str, Any] = from_json(row.metadata) if row.metadata else {}
    record, _ = generation_draft(
        client,
        row.project,
        data_id=row.id,
        # A datetime would lose nothing, but the store's own number needs no rounding.
        output=fields.get("output"),
        error=error,
        duration_s=fields.get("duration"),
    )
    record.columns["created_at"] = row.created_at
    record.columns["parent_id"], record.columns["root_id"] = row.parent_id, row.root_id
    if row.status == "running":
        if fields.get("output") is None and error is None:
            record.columns["status"] = "running"
    else:
        # Of two finished records the first stands, and what comes later lies over it.
        over: dict[str, Any] = {}
        if "output" in fields:
            over["output"] = fields["output"]
        later = {
            name: fields[name]
            for name, old in (("error", row.error), ("duration", row.duration_ms))
            if fields.get(name) is not None and old is not None
        }
        if later:
            over["metadata"] = {EXTRAS: {**metadata.get(EXTRAS, {}), **later}}
        if over:
            record.columns["patch"] = to_json({new_id(): client.redactor.value(over)})
    put(client, record)
    make_durable(client)
    return _shape(call, _row(call, row.id))


def _delete(call: Call) -> Any:
    rows = [_row(call, found) for found in call.query.getlist("id")]
    if not rows:
        raise Refused(
            422, [{"loc": ["query", "id"], "msg": "field required", "type": "value_error.missing"}]
        )
    for row in rows:
        body = to_json({"deleted_at": datetime.now(UTC).isoformat()})
        call.client.store.put_document(_DELETED, row.project, row.id, body)


def _row(call: Call, data_id: str) -> GenerationRow:
    """The row of a log.

    Raises:
        Refused: 404 unknown, 403 of another project than the key's.
    """
    client = call.client
    client.flush(2.0)
    known = clean(data_id)
    row = client.store.generation(known, call.access.project)
    if row is None and call.access.project is not None and client.store.generation(known):
        raise Refused(403, "This key is for another project.")
    if (
        row is None
        or row.status == "waiting"
        or client.store.document(_DELETED, row.project, row.id) is not None
    ):
        raise Refused(404, f"There is no log {data_id[:130]!r}.")
    return row


def _shape(call: Call, row: GenerationRow) -> dict[str, Any]:
    project = ProjectBook(call.client).by_key(row.project)
    history = call.client.store.history([row.id], row.project)
    return LogShapes(call.client, project).shape(to_generation(row, history))


def _moment(call: Call, name: str) -> int | None:
    given = call.query.get(name)
    if not given:
        return None
    try:
        # A plus sign in a query that was not quoted arrives as a space.
        return to_microseconds(
            datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
        )
    except ValueError:
        message = "must be an ISO 8601 date or time"
        raise Refused(
            422, [{"loc": ["query", name], "msg": message, "type": "value_error.datetime"}]
        ) from None
