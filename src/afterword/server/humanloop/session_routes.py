"""Sessions: made ahead, listed by project, read with what their logs hold (layer 5)."""

from __future__ import annotations

from typing import Any

from afterword.codec import clean, from_json
from afterword.ids import new_id
from afterword.model import from_microseconds
from afterword.prompts import PromptShelf
from afterword.server.humanloop.projects import Project, ProjectBook
from afterword.server.humanloop.recording import keep_session
from afterword.server.humanloop.wire import Call, Refused, Routes
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

__all__ = ["add_routes"]

_KIND = "session"
_LOGS_READ = 500


def add_routes(routes: Routes) -> None:
    """``/sessions`` and its items."""
    routes.add("POST", "/sessions", "ingest", _create, 201)
    routes.add("GET", "/sessions", "read", _list)
    routes.add("GET", "/sessions/{id}", "read", _get)


def _create(call: Call) -> Any:
    home = call.access.project or call.client.project
    return {"id": keep_session(call.client, home, f"sesh_{new_id()}", None)}


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
    page = call.number_of("page", 1, 1, 1_000_000)
    size = call.number_of("size", 10, 1, 100)
    found = [
        (from_json(body)["created_at"], name, body)
        for _, name, body in call.client.store.documents(_KIND, project.key)
    ]
    found.sort(reverse=True)
    wanted = found[(page - 1) * size : page * size]
    records = [_shape(call, [project], name, from_json(body)) for _, name, body in wanted]
    return {"records": records, "page": page, "size": size, "total": len(found)}


def _get(call: Call) -> Any:
    session_id = call.path["id"]
    book = ProjectBook(call.client)
    homes = [
        (book.by_key(project), from_json(body))
        for project, name, body in call.client.store.documents(_KIND, call.access.project)
        if name == clean(session_id)
    ]
    if not homes:
        raise Refused(404, f"There is no session {session_id[:100]!r}.")
    return _shape(call, [project for project, _ in homes], session_id, homes[0][1])


def _shape(
    call: Call, projects: list[Project], session_id: str, document: dict[str, Any]
) -> dict[str, Any]:
    call.client.flush(2.0)
    rows: list[GenerationRow] = []
    for project in projects:
        rows += call.client.store.generations(
            Query(project=project.key, session=clean(session_id), limit=_LOGS_READ)
        )
    rows.sort(key=lambda row: (row.created_at, row.id))
    inputs = from_json(rows[0].inputs) if rows and rows[0].inputs else None
    output = from_json(rows[-1].output) if rows and rows[-1].output else None
    updated = from_microseconds(rows[-1].created_at).isoformat() if rows else document["created_at"]
    shelf = PromptShelf(call.client.store)
    return {
        "id": session_id,
        "reference_id": document.get("reference_id"),
        "projects": [
            {
                "id": project.id,
                "name": project.name,
                "type": "prompt" if shelf.deployments(project.key) else None,
            }
            for project in projects
        ],
        "datapoints_count": len(rows),
        "first_inputs": inputs if isinstance(inputs, dict) else None,
        "last_output": output if isinstance(output, str) else None,
        "created_at": document["created_at"],
        "updated_at": updated,
    }
