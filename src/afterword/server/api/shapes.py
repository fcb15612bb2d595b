"""Records on the wire: what may be posted, what is answered, and the rows between (layer 5).

Field names are those of DESIGN §3. Bodies are decoded in C into these structs; values of any shape
stay undecoded JSON all the way to the store, and from it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, cast

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from afterword.codec import to_json
from afterword.feedback.current import age, current
from afterword.feedback.rows import FeedbackRow
from afterword.model import (
    Feedback,
    FeedbackType,
    Label,
    Sentiment,
    Signal,
    Source,
    from_microseconds,
)
from afterword.stores.rows import GenerationRow

__all__ = ["FeedbackOut", "GenerationOut", "PostedGeneration", "feedback_out"]

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$(?!\n)")]
ProjectName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,127}$(?!\n)")]
Name = Annotated[str, Meta(max_length=1_000)]
Count = Annotated[int, Meta(ge=0, le=(1 << 62) - 1)]
Amount = Annotated[float, Meta(ge=0, le=1e15)]
Listed = Annotated[Raw | UnsetType, Meta(extra_json_schema={"type": ["array", "null"]})]
Mapped = Annotated[Raw | UnsetType, Meta(extra_json_schema={"type": ["object", "null"]})]
Moment = (
    Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
    | Annotated[float, Meta(ge=0, lt=253_402_300_800)]
)


class PostedError(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a generation failed with."""

    type: str = "Error"
    message: str = ""


class PostedUsage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Tokens a generation used."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None


class PostedGeneration(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One generation as posted. Only `id` is needed; `created_at` is taken as now without one."""

    id: Id
    project: ProjectName | None = None
    name: Name | None = None
    version: Name | None = None
    parent_id: Id | None = None
    root_id: Id | None = None
    session: Name | None = None
    user: Name | None = None
    status: Literal["ok", "error", "cancelled", "abandoned", "running"] | None = None
    created_at: Moment | None = None
    duration_ms: Amount | None = None
    first_token_ms: Amount | None = None
    inputs: Raw | UnsetType = UNSET
    messages: Listed = UNSET
    output: Raw | UnsetType = UNSET
    error: PostedError | None = None
    model: Name | None = None
    provider: Name | None = None
    usage: PostedUsage | None = None
    cost_usd: Amount | None = None
    tags: Annotated[list[Name], Meta(max_length=1_000)] | None = None
    metadata: Mapped = UNSET
    trace_id: Name | None = None
    span_id: Name | None = None


class FeedbackOut(msgspec.Struct, kw_only=True):
    """One statement as answered."""

    id: str
    project: str
    data_id: str
    type: str
    value: Raw
    sentiment: Sentiment | None
    signal: Signal
    user: str | None
    subject: str | None
    source: Source
    comment: Raw
    metadata: Raw
    created_at: datetime
    received_at: datetime
    unset: bool


class GenerationOut(msgspec.Struct, kw_only=True):
    """One generation as answered, with its current feedback and, alone, all of its history."""

    id: str
    project: str
    name: str | None
    version: str | None
    parent_id: str | None
    root_id: str | None
    session: str | None
    user: str | None
    status: str
    created_at: datetime
    duration_ms: float | None
    first_token_ms: float | None
    inputs: Raw
    messages: Raw
    output: Raw
    error: Raw
    model: str | None
    provider: str | None
    usage: PostedUsage | None
    cost_usd: float | None
    tags: Raw
    metadata: Raw
    trace_id: str | None
    span_id: str | None
    feedback: list[FeedbackOut]
    feedback_history: list[FeedbackOut] | UnsetType = UNSET


class FeedbackTypeIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A feedback type as posted."""

    name: str
    cls: str
    labels: list[Label | str] = []
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    signal: Signal | None = None


class FeedbackTypes(msgspec.Struct, frozen=True):
    """The feedback types of a project, the defaults first."""

    items: list[FeedbackType]
    next: None = None


class GenerationPage(msgspec.Struct, frozen=True):
    """One page of generations, newest first; `next` goes into `after`."""

    items: list[GenerationOut]
    next: str | None


def generation_out(
    row: GenerationRow, history: list[FeedbackRow], *, with_history: bool = False
) -> GenerationOut:
    """A generation as answered."""
    history = sorted(history, key=age)
    usage = None
    if row.input_tokens is not None or row.output_tokens is not None:
        usage = PostedUsage(row.input_tokens, row.output_tokens)
    return GenerationOut(
        id=row.id,
        project=row.project,
        name=row.name,
        version=row.version,
        parent_id=row.parent_id,
        root_id=row.root_id,
        session=row.session,
        user=row.user,
        status=row.status,
        created_at=from_microseconds(row.created_at),
        duration_ms=row.duration_ms,
        first_token_ms=row.first_token_ms,
        inputs=_raw(row.inputs),
        messages=_raw(row.messages),
        output=_raw(row.output),
        error=_raw(row.error),
        model=row.model,
        provider=row.provider,
        usage=usage,
        cost_usd=row.cost_usd,
        tags=_raw(row.tags or "[]"),
        metadata=_raw(row.metadata),
        trace_id=row.trace_id,
        span_id=row.span_id,
        feedback=[feedback_out(found) for found in current(history)],
        feedback_history=[feedback_out(found) for found in history] if with_history else UNSET,
    )


def feedback_out(row: FeedbackRow) -> FeedbackOut:
    """A statement as answered."""
    return FeedbackOut(
        id=row.id,
        project=row.project,
        data_id=row.data_id,
        type=row.type,
        value=_raw(row.value),
        sentiment=cast("Sentiment | None", row.sentiment),
        signal=cast("Signal", row.signal),
        user=row.user,
        subject=row.subject,
        source=cast("Source", row.source),
        comment=_raw(row.comment),
        metadata=_raw(row.metadata),
        created_at=from_microseconds(row.created_at),
        received_at=from_microseconds(row.received_at),
        unset=row.unset,
    )


def feedback_json(said: Feedback) -> FeedbackOut:
    """A statement as answered to who made it; of several labels at once, `value` lists them."""
    return FeedbackOut(
        id=said.id,
        project=said.project,
        data_id=said.data_id,
        type=said.type,
        value=_raw(to_json(said.value)),
        sentiment=said.sentiment,
        signal=said.signal or "explicit",
        user=said.user,
        subject=said.subject,
        source=said.source,
        comment=_raw(to_json(said.comment)),
        metadata=_raw(to_json(said.metadata)),
        created_at=said.created_at,
        received_at=said.received_at,
        unset=said.unset,
    )


def _raw(text: str | None) -> Raw:
    return _NULL if text is None else Raw(text.encode("utf-8", "backslashreplace"))


_NULL = Raw(b"null")
