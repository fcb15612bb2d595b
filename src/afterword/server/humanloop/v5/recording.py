"""Logs of v5 on their way into the store (layer 5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from afterword.client import Client
from afterword.ids import is_data_id
from afterword.server.humanloop.recording import generation_draft, put
from afterword.server.humanloop.v5.files import File
from afterword.server.humanloop.wire import unfit

__all__ = ["record"]

_EXTRAS = (
    "source", "environment", "source_datapoint_id", "stdout", "finish_reason", "output_message",
    "provider_request", "provider_response", "log_status", "tool_choice", "save",
)  # fmt: skip


def record(
    client: Client, file: File, fields: Mapping[str, Any], *, status: str | None = None
) -> str:
    """Hand one log to the recorder; gives its data ID.

    Raises:
        InvalidInput: a field is not usable; the message names it.
    """
    save = fields.get("save") is not False
    parent = fields.get("trace_parent_id")
    if parent is not None and not is_data_id(parent):
        raise unfit("trace_parent_id", "is not the ID of a log")
    output = fields.get("output")
    if output is None:
        output = fields.get("output_message")
    costs = [
        fields[name] for name in ("prompt_cost", "output_cost") if fields.get(name) is not None
    ]
    extras = {name: fields[name] for name in _EXTRAS if fields.get(name) is not None and save}
    draft, data_id = generation_draft(
        client,
        file.project,
        status=status,
        data_id=fields.get("log_id"),
        name=file.name,
        version=file.version_id if file.content else None,
        model=_text(file.content.get("model")),
        provider=_text(file.content.get("provider")),
        inputs=fields.get("inputs") if save else None,
        messages=fields.get("messages") if save else None,
        output=output if save else None,
        error=_text(fields.get("error")),
        created_at=fields.get("start_time") or fields.get("created_at"),
        duration_s=_duration_s(fields),
        usage={
            "input_tokens": fields.get("prompt_tokens"),
            "output_tokens": fields.get("output_tokens"),
        },
        cost_usd=sum(costs) if costs else None,
        parent_id=parent,
        user=_text(fields.get("user")),
        metadata=_mapping(fields.get("metadata"), "metadata"),
        extras={**extras, "file": {"kind": file.kind, "path": file.path}, "content": file.content},
    )
    put(client, draft)
    return data_id


def _duration_s(fields: Mapping[str, Any]) -> float | None:
    latency = fields.get("provider_latency")
    if latency is not None:
        return cast("float", latency)
    try:
        start, end = (datetime.fromisoformat(fields[name]) for name in ("start_time", "end_time"))
        return max((end - start).total_seconds(), 0.0)
    except (KeyError, TypeError, ValueError):
        return None


def _mapping(value: Any, name: str) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise unfit(name, "must be an object")
    return cast("dict[str, Any] | None", value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
