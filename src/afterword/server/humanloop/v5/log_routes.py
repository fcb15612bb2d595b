"""``/prompts/log``, ``/tools/log`` and ``/flows/log``, and flows that are completed later (layer 5)."""

from __future__ import annotations

from typing import Any

from afterword.codec import clean
from afterword.model import from_microseconds
from afterword.server.humanloop.recording import EXTRAS, make_durable
from afterword.server.humanloop.v5.files import File, file_of
from afterword.server.humanloop.v5.reading_routes import log_shape, row_of
from afterword.server.humanloop.v5.recording import record
from afterword.server.humanloop.wire import Call, Routes
from afterword.stores.rows import to_generation

__all__ = ["add_routes"]

_OPEN = "incomplete"


def add_routes(routes: Routes) -> None:
    """Logging by hand."""
    for kind in ("prompt", "tool", "flow"):
        routes.add("POST", f"/{kind}s/log", "ingest", _Log(kind))
    routes.add("PATCH", "/flows/logs/{id}", "ingest", _update_flow)


class _Log:
    """The handler of one kind of file."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, call: Call) -> Any:
        file = file_of(call, self._kind)
        fields = {**call.fields, "environment": call.query.get("environment")}
        status = "running" if fields.get("log_status") == _OPEN else None
        data_id = record(call.client, file, fields, status=status)
        make_durable(call.client)
        return {
            "id": data_id,
            f"{self._kind}_id": file.id,
            "version_id": file.version_id,
            "session_id": None,
            "trace_id": fields.get("trace_parent_id") or data_id,
            "log_status": fields.get("log_status"),
        }


def _update_flow(call: Call) -> Any:
    row = row_of(call, clean(call.path["id"]))
    known = to_generation(row, [])
    extras = (known.metadata or {}).get(EXTRAS, {})
    kept = extras.get("file") or {}
    file = File(kind=kept.get("kind", "flow"), path=kept.get("path", row.project))
    file.content = extras.get("content") or {}
    given = {name: value for name, value in call.fields.items() if value is not None}
    fields = {
        "inputs": known.inputs,
        "messages": known.messages,
        "output": known.output,
        "user": known.user,
        "trace_parent_id": known.parent_id,
        "created_at": from_microseconds(row.created_at).isoformat(),
        **given,
        "log_id": row.id,
        "start_time": None,
    }
    status = "running" if fields.get("log_status") == _OPEN else None
    record(call.client, file, fields, status=status)
    make_durable(call.client)
    return log_shape(call, row_of(call, row.id))
