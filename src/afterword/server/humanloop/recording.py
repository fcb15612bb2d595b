"""Generations of Humanloop's routes on their way into the store, and out again (layer 5).

What Humanloop tells of a log and Afterword has no field for is kept in the metadata, under
`humanloop`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from afterword.client import Client
from afterword.codec import clean, to_json
from afterword.delivery.drafts import Draft
from afterword.drafting import draft
from afterword.errors import DeliveryError
from afterword.ids import check_external_id, is_data_id, new_id
from afterword.server.humanloop.wire import Call, unfit

__all__ = ["EXTRAS", "generation_draft", "lineage", "make_durable", "moment_text", "put"]

#: The key of the metadata that holds what is Humanloop's own.
EXTRAS = "humanloop"

_FIELDS = (
    "inputs", "output", "messages", "name", "version", "model", "provider", "usage", "cost_usd",
    "error", "duration_s", "created_at", "data_id", "parent_id", "user", "session", "metadata",
)  # fmt: skip
_DURABLE_S = 10.0
_SESSION = "session"


def generation_draft(
    client: Client,
    project: str,
    *,
    status: str | None = None,
    first_token_ms: float | None = None,
    extras: dict[str, Any] | None = None,
    **fields: Any,
) -> tuple[Draft, str]:
    """A checked record and its data ID; nothing is written yet.

    Raises:
        InvalidInput: a field is not usable; the message names it.
    """
    told = {name: value for name, value in (extras or {}).items() if value is not None}
    if told:
        fields["metadata"] = {**(fields.get("metadata") or {}), EXTRAS: told}
    given: dict[str, Any] = dict.fromkeys(_FIELDS)
    record, data_id = draft({**given, "tags": (), **fields, "project": project}, client.redactor)
    if status is not None:
        record.columns["status"] = status
    record.columns["first_token_ms"] = first_token_ms
    return record, data_id


def put(client: Client, record: Draft) -> None:
    """Hand a record to the recorder."""
    columns = record.columns
    if columns["project"] != client.project:
        client.desk.note_place(columns["id"], columns["project"])
    client.recorder.put(record)


def make_durable(client: Client) -> None:
    """Wait until what was put is on disk.

    Raises:
        DeliveryError: it is not within 10 s.
    """
    if not client.flush(_DURABLE_S):
        raise DeliveryError


def lineage(call: Call, project: str) -> dict[str, Any]:
    """The session and the parent that a body names, by ID or by the caller's own reference.

    Raises:
        Refused: 422, one of them is not usable.
    """
    store = call.client.store
    session = call.text("session_id")
    reference = call.text("session_reference_id")
    if session is None and reference is not None:
        session = session_of(call.client, project, reference)
    elif session is not None:
        keep_session(call.client, project, session, None)
    parent = call.text("parent_id")
    parent_reference = call.text("parent_reference_id")
    if parent is None and parent_reference is not None:
        parent = store.resolve(clean(check_external_id(parent_reference)), project)
        if parent is None:
            raise unfit("parent_reference_id", "no log has this reference")
    if parent is not None and not is_data_id(parent):
        raise unfit("parent_id", "is not the ID of a log")
    return {"session": session, "parent_id": parent}


def session_of(client: Client, project: str, reference: str) -> str:
    """The session with this reference, made when there is none."""
    for home, session_id, body in client.store.documents(_SESSION, project):
        if home == project and f'"reference_id":{to_json(reference)}' in body:
            return session_id
    return keep_session(client, project, f"sesh_{new_id()}", reference)


def keep_session(client: Client, project: str, session_id: str, reference: str | None) -> str:
    """Write a session down, unless it is known; gives its ID."""
    if not is_data_id(session_id):
        raise unfit("session_id", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -")
    body = to_json({"reference_id": reference, "created_at": datetime.now(UTC).isoformat()})
    client.store.put_document(_SESSION, project, session_id, body, replace=False)
    return session_id


def moment_text(moment: datetime) -> str:
    """A time as Humanloop writes it: ISO 8601, UTC."""
    return moment.astimezone(UTC).isoformat()
