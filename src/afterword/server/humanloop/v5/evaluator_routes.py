"""Evaluators of v5 are feedback types, and their logs are feedback (layer 5)."""

from __future__ import annotations

from typing import Any

from afterword.client import Client
from afterword.codec import from_json, to_json
from afterword.feedback.types import DEFAULT_TYPES
from afterword.model import Feedback
from afterword.server.humanloop.recording import make_durable
from afterword.server.humanloop.v5.files import File, file_of, file_shape
from afterword.server.humanloop.wire import Call, Refused, Routes, unfit

__all__ = ["add_routes", "declare", "judge"]

_KIND = "v5_evaluator"
_CLASSES = ("select", "multi_select", "text", "number", "boolean")


def add_routes(routes: Routes) -> None:
    """``/evaluators`` and ``/evaluators/log``."""
    routes.add("POST", "/evaluators", "ingest", _upsert)
    routes.add("POST", "/evaluators/log", "feedback", _log)


def _upsert(call: Call) -> Any:
    file = file_of(call, "evaluator")
    if not file.content:
        raise unfit("spec", "field required", kind="value_error.missing")
    _keep(call.client, file)
    return file_shape(file)


def _keep(client: Client, file: File) -> None:
    """Write an evaluator down, once its return type is one that feedback can have."""
    declare(client, client.project, file.name, file.content)
    client.store.put_document(_KIND, "", file.name, to_json(file.content))


def declare(client: Client, project: str, name: str, spec: dict[str, Any]) -> None:
    """Declare the feedback type of an evaluator in a project.

    Raises:
        Refused: 422, no feedback can have this return type.
        InvalidInput: the name or an option is not usable.
    """
    cls = spec.get("return_type")
    if cls not in _CLASSES:
        raise unfit("spec", f"return_type must be one of: {', '.join(_CLASSES)}")
    options = spec.get("options") or []
    limits = spec.get("number_limits") or {}
    if not isinstance(options, list) or not isinstance(limits, dict):
        raise unfit("spec", "options must be a list and number_limits an object")
    labels = {
        option["name"]: option.get("valence") if option.get("valence") != "neutral" else None
        for option in options
        if isinstance(option, dict) and isinstance(option.get("name"), str)
    }
    client.feedback_type(
        name,
        cls,
        labels or None,
        minimum=limits.get("min"),
        maximum=limits.get("max"),
        project=project,
    )


def _log(call: Call) -> Any:
    fields = call.fields
    parent = call.text("parent_id", required=True)
    if "judgment" not in fields:
        raise unfit("judgment", "field required; null takes it back", kind="value_error.missing")
    if call.text("path") is None and call.text("id") is None:
        raise unfit("path", "field required, or id", kind="value_error.missing")
    file = file_of(call, "evaluator") if call.access.project is None else _file(call)
    if file.content:
        _keep(call.client, file)
    said = judge(call, file.name, str(parent), fields["judgment"])
    return {
        "id": said.id,
        "parent_id": said.data_id,
        "session_id": None,
        "evaluator_id": file.id,
        "version_id": file.version_id,
        "judgment": said.value,
    }


def _file(call: Call) -> File:
    """The evaluator that a body names, for keys of one project: evaluators belong to none."""
    whole = Call(call.client, type(call.access)(), call.path, call.query, call.body)
    return file_of(whole, "evaluator")


def judge(call: Call, name: str, data_id: str, judgment: Any) -> Feedback:
    """Record a judgment as feedback; null takes back what this user said.

    Raises:
        Refused: 403 another project than the key's, 422 the evaluator is unknown.
        FeedbackRejected: the judgment is none that the evaluator gives.
    """
    client = call.client
    make_durable(client)
    home = client.desk.place_of(data_id, call.access.project) or client.project
    if call.access.project not in (None, home):
        raise Refused(403, "This key is for another project.")
    types = client.desk.types(home)
    if name not in types or (name in DEFAULT_TYPES and types[name] == DEFAULT_TYPES[name]):
        spec = client.store.document(_KIND, "", name)
        if spec is not None:
            declare(client, home, name, from_json(spec))
        elif name not in types:
            raise unfit("path", f"there is no evaluator {name!r:.100}; send its spec with the log")
    user = call.text("user")
    entry = {"data_id": data_id, "type": name, "user": user, "created_at": call.text("created_at")}
    entry = {field: value for field, value in entry.items() if value is not None}
    if judgment is None:
        return client.feedback([{**entry, "unset": True}])[0]
    entries = [{**entry, "value": judgment}]
    if isinstance(judgment, list):
        # A list is all that holds now, so what is not on it goes.
        gone = [label for label in _labels(client, data_id, name, user) if label not in judgment]
        entries = [*({**entry, "value": label, "unset": True} for label in gone), *entries]
    return client.feedback(entries)[-1]


def _labels(client: Client, data_id: str, name: str, user: str | None) -> list[str]:
    found = client.get(data_id)
    if found is None:
        return []
    said = [kept for kept in found.feedback if kept.type == name and kept.user == user]
    labels: list[str] = []
    for kept in said:
        labels += [kept.value] if isinstance(kept.value, str) else list(kept.value or ())  # type: ignore[arg-type]
    return labels
