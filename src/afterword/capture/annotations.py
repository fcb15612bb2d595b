"""Adding to a generation while it runs, or after (layer 4)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from afterword.capture.records import Call
from afterword.client import Client
from afterword.codec import plain, to_json
from afterword.configuration import is_disabled
from afterword.context import innermost, last_data_id, running
from afterword.default import default_client
from afterword.delivery.drafts import Draft
from afterword.delivery.faults import Faults
from afterword.drafting import tag_list, usage_columns
from afterword.errors import NoGenerationInContext
from afterword.ids import check_data_id, new_id
from afterword.snapshot import snapshot

_homeless = Faults()


def annotate(
    *,
    model: str | None = None,
    version: str | None = None,
    provider: str | None = None,
    usage: Any = None,
    cost_usd: float | None = None,
    output: Any = None,
    messages: Any = None,
    metadata: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    data_id: str | None = None,
) -> None:
    """Add to a generation: the innermost one running here, or the one with `data_id`.

    After its end, the last one of the trail is meant. `usage` has input_tokens and output_tokens
    (prompt_tokens and completion_tokens are understood). `metadata` and `tags` add to what is
    there; the others replace. With no generation at all it does nothing but count a fault.

    Raises:
        InvalidInput: a field is not usable; the message names it.
    """
    notes: dict[str, Any] = {
        name: value
        for name, value in (
            ("model", model),
            ("version", version),
            ("provider", provider),
            ("cost_usd", cost_usd),
        )
        if value is not None
    }
    notes.update((name, count) for name, count in usage_columns(usage).items() if count is not None)
    for name, value in (("output", output), ("messages", messages)):
        if value is not None:
            notes[name] = snapshot(value)
    if metadata:
        notes["metadata"] = plain(snapshot(dict(metadata)))
    if tags:
        notes["tags"] = tag_list(tags)
    if data_id is not None:
        check_data_id(data_id)
    _add(notes, data_id)


def _add(notes: dict[str, Any], data_id: str | None) -> None:
    call = running(innermost())
    while data_id is not None and call is not None and call.data_id != data_id:
        call = running(call.parent)
    if isinstance(call, Call):
        _note(call, notes)
        return
    data_id = data_id or last_data_id()
    if data_id is None:
        if not is_disabled():
            _homeless.note("annotate", NoGenerationInContext())
        return
    client = default_client()
    project = client.desk.place_of(data_id) or client.project
    client.recorder.put(_patch(client, project, data_id, notes))


def _note(call: Call, notes: dict[str, Any]) -> None:
    known = call.notes
    if known is None:
        call.notes = notes
        return
    if "metadata" in notes and "metadata" in known:
        notes["metadata"] = {**known["metadata"], **notes["metadata"]}
    if "tags" in notes and "tags" in known:
        notes["tags"] = [*known["tags"], *notes["tags"]]
    known.update(notes)


def _patch(client: Client, project: str, data_id: str, notes: dict[str, Any]) -> Draft:
    patch = {name: plain(value) for name, value in notes.items()}
    columns = {
        "id": data_id,
        "project": project,
        "status": "waiting",
        "created_at": time.time_ns() // 1000,
        "patch": to_json({new_id(): client.redactor.value(patch)}),
    }
    return Draft(columns, {}, client.redactor)
