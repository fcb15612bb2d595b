"""Humanloop's exports: pages of v4 logs and v5 logs (layer 5).

The fields are those of the LogResponse of its v4 API, and of the logs of prompts, flows and tools of
its v5 API, as its SDKs declare them.
"""

from __future__ import annotations

from typing import Any, cast

from afterword.importing.importer import Imported
from afterword.importing.reading import Unreadable
from afterword.importing.values import mapping, number, text, whole_number

__all__ = ["entries"]

_FILES = ("prompt", "flow", "tool", "agent", "evaluator")
_KEPT_AS_METADATA = ("environment", "reference_id", "source_datapoint_id", "stdout", "labels")


def entries(record: dict[str, Any]) -> Imported:
    """What one exported log becomes.

    Raises:
        Unreadable: it has no ID, or is no log.
    """
    data_id = text(record.get("id"))
    if data_id is None:
        raise Unreadable("the record has no id")
    made_at = text(record.get("created_at") or record.get("start_time"))
    fields: dict[str, Any] = {
        "data_id": data_id,
        "project": _project(record),
        "inputs": record.get("inputs"),
        "messages": record.get("messages") or None,
        "output": _output(record),
        "error": text(record.get("error")),
        "duration_s": _duration_s(record),
        "created_at": made_at,
        "user": text(record.get("user")),
        "session": text(record.get("session_id") or record.get("trace_id")),
        "parent_id": text(record.get("parent_id") or record.get("trace_parent_id")),
        "usage": _usage(record),
        "cost_usd": _cost_usd(record),
        "metadata": _metadata(record),
        **_model(record),
    }
    said = [_statement(entry, data_id, made_at) for entry in _list(record.get("feedback"))]
    for log in _list(record.get("evaluator_logs")):
        said += _judgment(log, data_id, made_at)
    aliases = [name for name in (text(record.get("reference_id")),) if name]
    return Imported(fields, [entry for entry in said if entry is not None], aliases)


def _project(record: dict[str, Any]) -> str | None:
    for name in _FILES:
        path = text(mapping(record.get(name)).get("path"))
        if path is not None:
            return path
    project = record.get("project")
    if isinstance(project, dict):
        project = cast("dict[str, Any]", project).get("name")
    return text(project) or text(record.get("project_id"))


def _output(record: dict[str, Any]) -> Any:
    for name in ("output", "output_message", "raw_output"):
        value = record.get(name)
        if value is not None:
            return value
    return None


def _duration_s(record: dict[str, Any]) -> float | None:
    seconds = number(record.get("duration"))
    return number(record.get("provider_latency")) if seconds is None else seconds


def _usage(record: dict[str, Any]) -> dict[str, int] | None:
    counts = {
        "input_tokens": whole_number(record.get("prompt_tokens")),
        "output_tokens": whole_number(record.get("output_tokens")),
    }
    known = {name: count for name, count in counts.items() if count is not None}
    return known or None


def _cost_usd(record: dict[str, Any]) -> float | None:
    costs = [number(record.get(name)) for name in ("prompt_cost", "output_cost")]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def _metadata(record: dict[str, Any]) -> dict[str, Any] | None:
    found = dict(mapping(record.get("metadata")))
    for name in _KEPT_AS_METADATA:
        if record.get(name) is not None:
            found.setdefault(name, record[name])
    return found or None


def _model(record: dict[str, Any]) -> dict[str, Any]:
    """Name, version, model and provider, of v4's config or of v5's prompt."""
    config = mapping(record.get("config"))
    file = next((found for name in _FILES if (found := mapping(record.get(name)))), {})
    return {
        "name": text(config.get("name")) or text(file.get("name")),
        "version": text(config.get("id")) or text(file.get("version_id")),
        "model": text(config.get("model")) or text(file.get("model")) or text(record.get("model")),
        "provider": text(config.get("provider")) or text(file.get("provider")),
    }


def _statement(entry: Any, data_id: str, made_at: str | None) -> dict[str, Any] | None:
    said = mapping(entry)
    kind = text(said.get("type"))
    if kind is None or said.get("value") is None:
        return None
    return {
        "id": text(said.get("id")),
        "data_id": data_id,
        "type": kind,
        "value": said["value"],
        "user": text(said.get("user")),
        # A time of its own makes a second import find the same statement.
        "created_at": text(said.get("created_at")) or made_at,
    }


def _judgment(log: Any, data_id: str, made_at: str | None) -> list[dict[str, Any]]:
    """Feedback of v5: what a human evaluator judged. Code and models judge there, too."""
    found = mapping(log)
    evaluator = mapping(found.get("evaluator"))
    kind = mapping(evaluator.get("spec")).get("evaluator_type")
    name = text(evaluator.get("path")) or text(evaluator.get("name")) or text(found.get("path"))
    if name is None or found.get("judgment") is None:
        return []
    said = _statement(
        {**found, "type": name.rsplit("/", 1)[-1], "value": found["judgment"]}, data_id, made_at
    )
    if said is None:
        return []
    said["source"] = {"python": "code", "external": "code", "llm": "model"}.get(
        str(kind), "end_user"
    )
    return [said]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        listed: list[Any] = value
        return listed
    return [value]
