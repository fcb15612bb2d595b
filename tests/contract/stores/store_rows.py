"""Rows for the store tests, made short."""

from __future__ import annotations

from typing import Any

from afterword.codec import to_json
from afterword.feedback.rows import FeedbackRow
from afterword.ids import new_id
from afterword.stores.rows import GenerationRow


def generation(data_id: str | None = None, project: str = "p", **fields: Any) -> GenerationRow:
    known: dict[str, Any] = {"status": "ok", "created_at": 1_000, **fields}
    return GenerationRow(id=data_id or new_id(), project=project, **known)


def full_generation(data_id: str, project: str = "p") -> GenerationRow:
    """A finished generation with something in every column but `patch`."""
    return GenerationRow(
        id=data_id, project=project, name="answer", version="v1", parent_id="up", root_id="top",
        session="s", user="u", status="ok", created_at=1_000, duration_ms=1.25, first_token_ms=0.5,
        inputs='{"a":1}', messages='[{"role":"user"}]', output='"out"',
        error='{"type":"E","message":"m"}', model="m", provider="x", input_tokens=3,
        output_tokens=4, cost_usd=0.125, tags='["a","b"]', metadata='{"k":1}', trace_id="t" * 32,
        span_id="f" * 16,
    )  # fmt: skip


def feedback(data_id: str, value: Any = "good", **fields: Any) -> FeedbackRow:
    """What somebody said of a generation: a rating unless `type` says otherwise."""
    kind = fields.get("type", "rating")
    several = kind == "action"
    user = fields.pop("user", "ann")
    subject = fields.get("subject")
    at = fields.pop("at", 1_000)
    known: dict[str, Any] = {
        "id": new_id(),
        "project": "p",
        "type": kind,
        "label": value if several and value is not None else "",
        "several": several,
        "value": None if value is None else to_json(value),
        "sentiment": {"good": "positive", "copied": "positive", "bad": "negative"}.get(value),
        "signal": "explicit",
        "user": user,
        "subject": None,
        "rater": user or subject or "",
        "source": "end_user",
        "comment": None,
        "metadata": None,
        "created_at": at,
        "received_at": at,
        "unset": value is None,
        **fields,
    }
    return FeedbackRow(data_id=data_id, **known)
