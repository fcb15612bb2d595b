"""A reviewer's form: which fields it has, and the feedback that a sent one stands for (layer 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote_plus

import anyio
from starlette.requests import Request

from afterword.errors import FeedbackRejected
from afterword.model import FeedbackType, Generation
from afterword.server.pages.query import parsed_value
from afterword.server.pages.text import as_text

__all__ = [
    "DEFAULT_REVIEWER",
    "MAX_FORM_BYTES",
    "FormError",
    "ReviewField",
    "read_form",
    "retraction",
    "review_entries",
    "review_fields",
    "reviewer_of",
]

DEFAULT_REVIEWER = "reviewer"
MAX_FORM_BYTES = 64 * 1024
_MAX_FORM_FIELDS = 500
_READ_DEADLINE_S = 10
# Leaves room in the form for the other fields once the browser has percent-encoded the text.
_MAX_PREFILL_BYTES = 40 * 1024

Form = Mapping[str, Sequence[str]]


class FormError(Exception):
    """A body that is no form this page sends; carries the HTTP status to answer with."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


async def read_form(request: Request) -> Form:
    """The fields of a urlencoded body, in full.

    Raises:
        FormError: another content type (415), over 64 kB (413), not urlencoded UTF-8 (400), or not
            all of it within 10 s (408).
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise FormError(415, "This page takes application/x-www-form-urlencoded only.")
    body = bytearray()
    try:
        with anyio.fail_after(_READ_DEADLINE_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    raise FormError(413, f"The form is larger than {MAX_FORM_BYTES // 1024} kB.")
    except TimeoutError:
        raise FormError(408, f"The form did not arrive within {_READ_DEADLINE_S} s.") from None
    try:
        return parse_qs(body.decode("utf-8"), errors="strict", max_num_fields=_MAX_FORM_FIELDS)
    except ValueError:
        raise FormError(400, "The body is not a form that can be read.") from None


@dataclass(frozen=True, slots=True)
class ReviewField:
    """One feedback type as the form shows it. `chosen` and `text` are what stands in it now."""

    definition: FeedbackType
    name: str
    chosen: tuple[str, ...]
    text: str
    note: str = ""


def review_fields(
    generation: Generation, types: Sequence[FeedbackType], form: Form | None
) -> list[ReviewField]:
    """The fields of the form: filled as sent when there is a form, else ready for a new review.

    What is chosen stands before what is written.
    """
    found: list[ReviewField] = []
    for definition in sorted(types, key=lambda definition: definition.cls == "text"):
        if definition.signal == "implicit":
            continue
        name, text, note = _field_name(definition), "", ""
        if form is not None:
            text = "".join(form.get(name, ())[:1])
        elif definition.name == "correction":
            text = _start_of_correction(generation)
            if len(quote_plus(text, errors="replace")) > _MAX_PREFILL_BYTES:
                text, note = (
                    "",
                    "The output is too long to be edited here; write what it should say.",
                )
        chosen = () if form is None else tuple(form.get(name, ()))
        found.append(ReviewField(definition, name, chosen, text, note))
    return found


def reviewer_of(form: Form) -> str:
    """The name a form was sent under."""
    return "".join(form.get("reviewer", ())[:1]).strip() or DEFAULT_REVIEWER


def review_entries(
    form: Form, generation: Generation, types: Sequence[FeedbackType]
) -> list[dict[str, Any]]:
    """The feedback a sent form stands for, as `Client.feedback` takes it.

    Fields left empty say nothing, and neither does a correction that changes nothing.

    Raises:
        FeedbackRejected: the form says nothing at all.
    """
    reviewer = reviewer_of(form)
    entries: list[dict[str, Any]] = []
    for definition in types:
        given = [text for text in map(_tidy, form.get(_field_name(definition), ())) if text]
        if not given or definition.signal == "implicit":
            continue
        if definition.name == "correction" and given[0] in _unchanged(generation):
            continue
        several = definition.cls == "multi_select"
        entries.append(
            {
                "data_id": generation.id,
                "type": definition.name,
                "value": given if several else parsed_value(definition, given[0]),
                "user": reviewer,
                "source": "reviewer",
            }
        )
    if not entries:
        raise FeedbackRejected("Choose a rating or an issue, or write something first.")
    return entries


def retraction(generation: Generation, feedback_id: str) -> dict[str, Any]:
    """The entry that takes back one reviewer's current feedback.

    Raises:
        FeedbackRejected: it is not there any more, or not a reviewer's.
    """
    for feedback in generation.feedback:
        if feedback.id == feedback_id and feedback.source == "reviewer":
            # The value tells which label of a multi-select; for other classes it is not looked at.
            return {
                "data_id": generation.id,
                "type": feedback.type,
                "value": feedback.value,
                "user": feedback.user,
                "source": "reviewer",
                "unset": True,
            }
    raise FeedbackRejected("That feedback is not current any more.")


def _field_name(definition: FeedbackType) -> str:
    return "type:reviewer" if definition.name == "reviewer" else definition.name


def _start_of_correction(generation: Generation) -> str:
    said = [found for found in generation.feedback if found.type == "correction"]
    reviewed = [found for found in said if found.source == "reviewer"]
    if reviewed and isinstance(reviewed[-1].value, str):
        return reviewed[-1].value
    return "" if generation.output is None else as_text(generation.output)


def _unchanged(generation: Generation) -> set[str]:
    texts = [_start_of_correction(generation)]
    if generation.output is not None:
        texts.append(as_text(generation.output))
    return {_tidy(text) for text in texts}


def _tidy(text: str) -> str:
    # What a textarea makes of a text between the page and the post.
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    return text.encode("utf-8", "replace").decode("utf-8").strip()
