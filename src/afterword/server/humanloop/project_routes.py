"""Projects and their feedback types (layer 5)."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from afterword.model import FeedbackType, Label
from afterword.prompts import PRODUCTION, PromptShelf
from afterword.server.humanloop.paging import count
from afterword.server.humanloop.projects import Project, ProjectBook
from afterword.server.humanloop.shapes import project_config
from afterword.server.humanloop.wire import Call, Refused, Routes, unfit

__all__ = ["add_routes"]

_CLASSES = ("select", "multi_select", "text", "number", "boolean")
_SENTIMENTS = {"positive": "positive", "negative": "negative", "neutral": None, "unset": None}
_SORTS = ("created_at", "updated_at", "name")


def add_routes(routes: Routes) -> None:
    """``/projects``, its items, and their feedback types."""
    routes.add("POST", "/projects", "admin", _create, 201)
    routes.add("GET", "/projects", "read", _list)
    routes.add("GET", "/projects/{id}", "read", _get)
    routes.add("PATCH", "/projects/{id}", "admin", _update)
    routes.add("DELETE", "/projects/{id}", "admin", _delete, 204)
    routes.add("DELETE", "/projects/{id}/active-config", "admin", _deactivate)
    routes.add("POST", "/projects/{id}/feedback-types", "admin", _create_type, 201)
    routes.add("PATCH", "/projects/{id}/feedback-types", "admin", _update_types)


def _project(call: Call) -> Project:
    return ProjectBook(call.client).by_id(call.access, call.path["id"])


def _create(call: Call) -> Any:
    name = cast("str", call.text("name", required=True))
    book = ProjectBook(call.client)
    if any(project.name == name for project in book.all() if project.key != call.client.project):
        raise Refused(409, f"There is a project {name[:100]!r} already.")
    project = book.named(call.access, None, name, create=True)
    return _shape(call, book.change(project, {**call.fields, "name": None}))


def _list(call: Call) -> Any:
    page = call.number_of("page", 0, 0, 1_000_000)
    size = call.number_of("size", 10, 1, 100)
    found = [
        project
        for project in ProjectBook(call.client).all()
        if call.access.project in (None, project.key)
        and call.query.get("filter", "").lower() in project.name.lower()
    ]
    sort_by = call.query.get("sort_by", "created_at")
    if sort_by not in _SORTS:
        raise Refused(422, [{"loc": ["query", "sort_by"], "msg": "unknown", "type": "value_error"}])
    is_down = call.query.get("order", "desc" if sort_by != "name" else "asc") == "desc"
    found.sort(key=lambda project: (getattr(project, sort_by), project.id), reverse=is_down)
    records = [_shape(call, project) for project in found[page * size : (page + 1) * size]]
    return {"records": records, "page": page, "size": size, "total": len(found)}


def _get(call: Call) -> Any:
    return _shape(call, _project(call))


def _update(call: Call) -> Any:
    project = _project(call)
    active = call.text("active_config_id")
    if active is not None and PromptShelf(call.client.store).version(project.key, active) is None:
        raise Refused(404, f"Project {project.name!r} has no config {active[:100]!r}.")
    changed = ProjectBook(call.client).change(project, call.fields)
    if active is not None:
        PromptShelf(call.client.store).deploy(project.key, active)
    return _shape(call, changed)


def _delete(call: Call) -> Any:
    book = ProjectBook(call.client)
    book.keep(msgspec.structs.replace(_project(call), removed=True))


def _deactivate(call: Call) -> Any:
    project = _project(call)
    environment = call.query.get("environment", PRODUCTION)
    PromptShelf(call.client.store).withdraw(project.key, environment)
    return _shape(call, project)


def _create_type(call: Call) -> Any:
    return _type_shape(_declare(call, _project(call), call.fields, None))


def _update_types(call: Call) -> Any:
    project = _project(call)
    given: list[Any] = call.body if isinstance(call.body, list) else []
    checked = [_wanted(call, project, entry, index) for index, entry in enumerate(given)]
    for definition in checked:
        _keep(call, project, definition)
    return [_type_shape(found) for found in call.client.feedback_types(project.key)]


def _declare(call: Call, project: Project, entry: Any, index: int | None) -> FeedbackType:
    return _keep(call, project, _wanted(call, project, entry, index))


def _keep(call: Call, project: Project, wanted: FeedbackType) -> FeedbackType:
    labels = [(label.name, label.sentiment) for label in wanted.labels]
    return call.client.feedback_type(
        wanted.name,
        wanted.cls,
        labels or None,
        wanted.minimum,
        wanted.maximum,
        wanted.step,
        wanted.signal,
        project=project.key,
    )


def _wanted(call: Call, project: Project, entry: Any, index: int | None) -> FeedbackType:
    """The type as it is after this request: labels are added to those there are.

    Raises:
        Refused: 422 that names the field.
    """
    if not isinstance(entry, dict):
        raise Refused(422, [{"loc": ["body"], "msg": "must be objects", "type": "type_error"}])
    fields = cast("dict[str, Any]", entry)
    name = fields.get("type")
    if not isinstance(name, str):
        raise unfit("type", "field required", index, "value_error.missing")
    known = call.client.desk.types(project.key, fresh=True).get(name)
    # The SDK for v3 spells it class_.
    cls = fields.get("class", fields.get("class_")) or (known.cls if known else None)
    if cls not in _CLASSES:
        raise unfit("class", f"must be one of: {', '.join(_CLASSES)}", index)
    labels = _labels(fields.get("values"), index)
    if known is not None and known.cls == cls:
        added = {label.name: label for label in (*known.labels, *labels)}
        return msgspec.structs.replace(known, labels=tuple(added.values()))
    return FeedbackType(
        name=name, cls=cls, labels=labels, signal="free-form" if cls == "text" else "explicit"
    )


def _labels(values: Any, index: int | None) -> tuple[Label, ...]:
    if values is None:
        return ()
    out: list[Label] = []
    for value in values if isinstance(values, list) else [None]:
        found = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        sentiment = found.get("sentiment", "unset")
        if not isinstance(found.get("value"), str) or sentiment not in _SENTIMENTS:
            raise unfit("values", "must be a list of {value, sentiment}", index)
        out.append(Label(found["value"], cast("Any", _SENTIMENTS[sentiment])))
    return tuple(out)


def _type_shape(definition: FeedbackType) -> dict[str, Any]:
    values = [
        {"value": label.name, "sentiment": label.sentiment or "neutral"}
        for label in definition.labels
    ]
    is_categorical = definition.cls in ("select", "multi_select")
    return {
        "type": definition.name,
        "class": definition.cls,
        "values": values if is_categorical else None,
    }


def _shape(call: Call, project: Project) -> dict[str, Any]:
    version = PromptShelf(call.client.store).deployed(project.key)
    types = call.client.feedback_types(project.key)
    return {
        "id": project.id,
        "name": project.name,
        "users": [],
        "data_count": count(call.client.store, project.key),
        "feedback_types": [_type_shape(definition) for definition in types],
        "team_id": "tm_afterword",
        "created_at": project.created_at,
        "updated_at": project.updated_at,
        "active_config": None if version is None else project_config(project, version),
        "config_type": None if version is None else "model",
        "active_evaluators": [],
        "directory_id": project.directory_id,
        "accept_new_types": project.accept_new_types,
        "require_known": project.require_known,
    }
