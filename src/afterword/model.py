"""The records users read and give: generations, feedback, feedback types, pages, status (layer 0).

Field names and meanings are those of the wire format. Times are aware UTC datetimes with
microseconds; durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")

GenerationStatus: TypeAlias = Literal["ok", "error", "cancelled", "abandoned", "running", "waiting"]
FeedbackClass: TypeAlias = str
Sentiment: TypeAlias = Literal["positive", "negative"]
Signal: TypeAlias = Literal["explicit", "implicit", "free-form"]
Source: TypeAlias = Literal["end_user", "reviewer", "code", "model"]
FeedbackValue: TypeAlias = str | bool | int | float | list[str] | None

SIGNALS: tuple[str, ...] = ("explicit", "implicit", "free-form")
SOURCES: tuple[str, ...] = ("end_user", "reviewer", "code", "model")
TERMINAL_STATUSES: tuple[str, ...] = ("ok", "error", "cancelled", "abandoned")
STATUSES: tuple[str, ...] = (*TERMINAL_STATUSES, "running", "waiting")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970; a naive datetime is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The aware UTC datetime that many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


class GenerationError(msgspec.Struct, frozen=True):
    """What a generation failed with: the exception's type name and message."""

    type: str
    message: str


class Usage(msgspec.Struct, frozen=True):
    """Tokens a generation used, as the provider counted them."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class Feedback(msgspec.Struct, kw_only=True):
    """One statement about one generation.

    `value` is what was said, in its canonical spelling; None when `unset`. `pending` is true while
    the statement is safe on local disk but not yet in the store.
    """

    id: str
    project: str
    data_id: str
    type: str
    value: FeedbackValue
    sentiment: Sentiment | None = None
    signal: Signal | None = None
    user: str | None = None
    subject: str | None = None
    source: Source = "code"
    comment: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: datetime
    received_at: datetime
    unset: bool = False
    pending: bool = False


class Generation(msgspec.Struct, kw_only=True):
    """One logged call, with the feedback it has received.

    `feedback` lists the current feedback, `feedback_history` every statement, oldest first.
    `status` is ``waiting`` when feedback has arrived but the call itself has not.
    """

    id: str
    project: str
    name: str | None = None
    version: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    session: str | None = None
    user: str | None = None
    status: GenerationStatus = "ok"
    created_at: datetime
    duration_ms: float | None = None
    first_token_ms: float | None = None
    inputs: Any = None
    messages: Any = None
    output: Any = None
    error: GenerationError | None = None
    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    tags: list[str] = []
    metadata: dict[str, Any] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    feedback: list[Feedback] = []
    feedback_history: list[Feedback] = []


class Label(msgspec.Struct, frozen=True):
    """One label of a select or multi_select feedback type, with the sentiment it carries."""

    name: str
    sentiment: Sentiment | None = None


class FeedbackType(msgspec.Struct, kw_only=True, frozen=True):
    """A project's definition of what feedback of one type may hold.

    `cls` names the class: select, multi_select, number, boolean, text. `labels` belong to the two
    selects; `minimum`, `maximum` and `step` to number.
    """

    name: str
    cls: FeedbackClass
    labels: tuple[Label, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    signal: Signal = "explicit"


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a listing. `next` goes into `after` to get the following one; None on the last."""

    items: Sequence[T]
    next: str | None = None


class Status(msgspec.Struct, kw_only=True, frozen=True):
    """Where every captured record is now.

    ``captured == stored + buffered + spooled + dead_lettered + dropped`` whenever it is read.
    `faults` counts errors inside Afterword that were kept from the caller.
    """

    captured: int = 0
    stored: int = 0
    buffered: int = 0
    spooled: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    faults: int = 0
