"""``/logs``: listed, read and deleted (layer 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from afterword.codec import clean, to_json
from afterword.feedback.rows import FeedbackRow, to_feedback
from afterword.server.humanloop.paging import numbered
from afterword.server.humanloop.recording import EXTRAS, moment_text
from afterword.server.humanloop.v5.files import File, file_shape, known_file
from afterword.server.humanloop.wire import Call, Refused, Routes
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow, to_generation

__all__ = ["add_routes", "log_shape", "row_of"]

_DELETED = "deleted_log"
_SOURCES = {"code": "external", "model": "llm"}


def add_routes(routes: Routes) -> None:
    """``GET /logs``, its items, and their removal."""
    routes.add("GET", "/logs", "read", _list)
    routes.add("GET", "/logs/{id}", "read", _get)
    routes.add("DELETE", "/logs", "admin", _delete, 204)


def _list(call: Call) -> Any:
    page = call.number_of("page", 1, 1, 1_000_000)
    size = call.number_of("size", 10, 1, 500)
    file = known_file(call.client, call.query.get("file_id", ""))
    if file is None:
        raise Refused(404, "There is no file with this ID.")
    if call.access.project not in (None, file.project):
        raise Refused(403, "This key is for another project.")
    call.client.flush(2.0)
    query = Query(project=file.project, text=call.query.get("search") or None)
    store = call.client.store
    removed = {name for _, name, _ in store.documents(_DELETED, file.project)}

    def keep(row: GenerationRow) -> bool:
        return row.status != "waiting" and row.id not in removed

    rows, total = numbered(store, query, page - 1, size, keep)
    records = [log_shape(call, row) for row in rows]
    return {"records": records, "page": page, "size": size, "total": total}


def _get(call: Call) -> Any:
    return log_shape(call, row_of(call, clean(call.path["id"])))


def _delete(call: Call) -> Any:
    for row in [row_of(call, clean(found)) for found in call.query.getlist("id")]:
        body = to_json({"deleted_at": datetime.now(UTC).isoformat()})
        call.client.store.put_document(_DELETED, row.project, row.id, body)


def row_of(call: Call, data_id: str) -> GenerationRow:
    """The row of a log.

    Raises:
        Refused: 404 unknown, 403 of another project than the key's.
    """
    call.client.flush(2.0)
    store = call.client.store
    row = store.generation(data_id, call.access.project)
    if row is None and call.access.project is not None and store.generation(data_id):
        raise Refused(403, "This key is for another project.")
    if (
        row is None
        or row.status == "waiting"
        or store.document(_DELETED, row.project, row.id) is not None
    ):
        raise Refused(404, f"There is no log {data_id[:130]!r}.")
    return row


def log_shape(call: Call, row: GenerationRow) -> dict[str, Any]:
    """A log as v5 writes it, with what was judged of it."""
    history = call.client.store.history([row.id], row.project)
    found = to_generation(row, history)
    metadata = dict(found.metadata or {})
    extras = metadata.pop(EXTRAS, {})
    kept = extras.get("file") or {}
    file = File(kind=kept.get("kind", "prompt"), path=kept.get("path", row.project))
    file.content = extras.get("content") or ({"model": row.model} if row.model else {})
    is_text = isinstance(found.output, str) or found.output is None
    start = found.created_at
    seconds = None if row.duration_ms is None else row.duration_ms / 1000
    current = {feedback.id for feedback in found.feedback}
    shape: dict[str, Any] = {
        "id": row.id,
        "inputs": found.inputs if isinstance(found.inputs, dict) else None,
        "messages": found.messages,
        "output": found.output if is_text else to_json(found.output),
        "output_message": extras.get("output_message"),
        "error": None if found.error is None else found.error.message,
        "created_at": moment_text(start),
        "start_time": moment_text(start),
        "end_time": None if seconds is None else moment_text(start + timedelta(seconds=seconds)),
        "provider_latency": seconds,
        "prompt_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "log_status": "incomplete" if row.status == "running" else "complete",
        "trace_parent_id": row.parent_id,
        "trace_id": row.root_id or row.id,
        "user": row.user,
        "metadata": metadata or None,
        "source": extras.get("source"),
        "environment": extras.get("environment"),
        "evaluator_logs": [judgment_shape(kept) for kept in history if kept.id in current],
    }
    shape[file.kind] = file_shape(file)
    return shape


def judgment_shape(row: FeedbackRow) -> dict[str, Any]:
    """A statement as the log of an evaluator."""
    said = to_feedback(row)
    spec = {
        "evaluator_type": _SOURCES.get(said.source, "human"),
        "arguments_type": "target_free",
        "return_type": "text" if isinstance(said.value, str) else "number",
    }
    return {
        "id": said.id,
        "parent_id": said.data_id,
        "judgment": said.value,
        "user": said.user,
        "created_at": moment_text(said.created_at),
        "evaluator_logs": [],
        "evaluator": file_shape(File(kind="evaluator", path=said.type, content=spec)),
    }
