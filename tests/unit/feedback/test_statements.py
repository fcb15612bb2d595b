"""Statements: what a caller may say, judged before any of it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword.codec import from_json
from afterword.errors import FeedbackRejected, NoGenerationInContext
from afterword.feedback.rows import FeedbackRow, to_feedback
from afterword.feedback.statements import fit, moment, read
from afterword.feedback.types import DEFAULT_TYPES
from afterword.ids import new_id
from afterword.redaction import FAILED, Redactor

SECRET = "sk-proj-abcdefghijklmnopqrstuvwx"
SAID = {"data_id": "d", "type": "rating", "value": "good"}


def nobody() -> str:
    raise NoGenerationInContext


def rows(entry: Any, redactor: Redactor | None = None, now: int = 7) -> list[FeedbackRow]:
    return fit(
        read(entry, default_data_id=nobody),
        DEFAULT_TYPES,
        project="main",
        now=now,
        new_id=new_id,
        redactor=redactor or Redactor(),
    )


def test_a_statement_of_every_field_is_kept_as_said() -> None:
    (row,) = rows({
        **SAID,
        "user": "user_123456",
        "source": "reviewer",
        "comment": "clear",
        "metadata": {"page": 3},
        "created_at": "2026-01-02T03:04:05.678901+00:00",
        "id": "f-1",
    })  # fmt: skip
    kept = to_feedback(row)
    assert (kept.id, kept.project, kept.data_id, kept.type) == ("f-1", "main", "d", "rating")
    assert (kept.value, kept.sentiment, kept.signal) == ("good", "positive", "explicit")
    assert (kept.user, kept.source, kept.comment) == ("user_123456", "reviewer", "clear")
    assert kept.metadata == {"page": 3}
    assert kept.created_at == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert kept.received_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=7)
    assert not kept.unset
    assert not kept.pending


def test_a_named_user_makes_the_source_an_end_user_and_none_makes_it_code() -> None:
    assert rows({**SAID, "user": "u"})[0].source == "end_user"
    assert rows(SAID)[0].source == "code"


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_user_is_nobody(empty: Any) -> None:
    assert rows({**SAID, "user": empty, "comment": empty})[0].user is None


@pytest.mark.parametrize("entry", [{**SAID, "value": None}, {**SAID, "unset": True}])
def test_a_retraction_has_no_value_and_takes_the_comment_along(entry: dict[str, Any]) -> None:
    (row,) = rows({**entry, "comment": "never mind"})
    assert row.unset
    assert (row.value, row.comment, row.sentiment) == (None, None, None)


def test_a_retraction_of_labels_names_them() -> None:
    entry = {"data_id": "d", "type": "action", "unset": True}
    assert [row.label for row in rows({**entry, "value": ["copied", "saved"]})] == [
        "copied",
        "saved",
    ]
    assert [row.label for row in rows(entry)] == [""]
    with pytest.raises(FeedbackRejected):
        rows({**entry, "value": "adored"})


def test_several_labels_are_a_row_each_with_an_id_of_its_own() -> None:
    entry = {"data_id": "d", "type": "issue", "value": ["too_long", "offensive", "too_long"]}
    found = rows({**entry, "id": "f-1"})
    assert [(row.id, row.label) for row in found] == [("f-1", "too_long"), ("f-1.1", "offensive")]
    assert all(len(row.id) <= 128 for row in rows({**entry, "id": "f" * 128}))


@pytest.mark.parametrize(
    ("field", "entry"),
    [
        ("feedback", "good"),
        ("feedback", None),
        ("score", {**SAID, "score": 1}),
        ("data_id", {**SAID, "data_id": "no spaces"}),
        ("data_id", {**SAID, "data_id": 5}),
        ("data_id", {**SAID, "data_id": "x" * 600}),
        ("type", {**SAID, "type": None}),
        ("type", {**SAID, "type": ""}),
        ("type", {**SAID, "type": ["rating"]}),
        ("type", {**SAID, "type": "vibe"}),
        ("value", {**SAID, "value": "great"}),
        ("value", {**SAID, "value": ["good"]}),
        ("value", {**SAID, "value": {}}),
        ("user", {**SAID, "user": 5}),
        ("user", {**SAID, "user": "u" * 1001}),
        ("source", {**SAID, "source": "rumour"}),
        ("comment", {**SAID, "comment": ["a"]}),
        ("metadata", {**SAID, "metadata": [1]}),
        ("unset", {**SAID, "unset": "yes"}),
        ("id", {**SAID, "id": "no spaces"}),
        ("created_at", {**SAID, "created_at": "yesterday"}),
        ("created_at", {**SAID, "created_at": True}),
        ("created_at", {**SAID, "created_at": -1}),
        ("created_at", {**SAID, "created_at": float("nan")}),
        ("created_at", {**SAID, "created_at": 10**400}),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field_named(field: str, entry: Any) -> None:
    with pytest.raises(FeedbackRejected) as caught:
        rows(entry)
    assert caught.value.field == field


def test_a_refusal_names_what_is_known() -> None:
    with pytest.raises(FeedbackRejected, match="rating, action, issue, correction, comment"):
        rows({**SAID, "type": "vibe"})
    with pytest.raises(FeedbackRejected, match="good, bad") as caught:
        rows({**SAID, "value": "great"})
    assert caught.value.allowed == ("good", "bad")


def test_a_refusal_within_a_list_says_which_entry() -> None:
    with pytest.raises(FeedbackRejected, match="entry 3") as caught:
        read({}, default_data_id=nobody, index=3)
    assert caught.value.index == 3


def test_without_a_data_id_there_is_nothing_to_speak_of() -> None:
    with pytest.raises(NoGenerationInContext):
        rows({"type": "rating", "value": "good"})


def test_free_text_is_redacted_and_what_cannot_be_redacted_is_not_kept() -> None:
    entry = {
        "data_id": "d",
        "type": "correction",
        "value": f"use {SECRET}",
        "comment": f"key: {SECRET}",
        "metadata": {"key": SECRET},
    }
    (row,) = rows(entry)
    assert SECRET not in repr(row)
    assert from_json(row.value or "") == "use <redacted: api key>"

    def refuse(text: str) -> str:
        raise RuntimeError(text)

    (row,) = rows(entry, Redactor([refuse]))
    assert SECRET not in repr(row)
    assert from_json(row.value or "") == FAILED


def test_text_no_store_takes_is_kept_without_loss_and_a_user_is_made_storable() -> None:
    odd = "a\0b\ud800c\u2028"
    entry = {"data_id": "d", "type": "comment", "value": odd, "comment": odd, "user": odd}
    kept = to_feedback(rows(entry)[0])
    assert (kept.value, kept.comment) == (odd, odd)
    assert kept.user == "a\\x00b\\ud800c\u2028"


east = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("given_time", "seconds"),
    [
        (datetime(1970, 1, 1, 0, 0, 5), 5),
        (datetime(1970, 1, 1, 2, 0, 5, tzinfo=east), 5),
        ("1970-01-01T00:00:05", 5),
        ("1970-01-01T02:00:05+02:00", 5),
        ("1970-01-01T00:00:05Z", 5),
        (5, 5),
        (5.25, 5.25),
    ],
)
def test_a_time_may_be_said_in_many_ways_and_is_utc_when_naive(
    given_time: Any, seconds: float
) -> None:
    assert moment(given_time) == seconds * 1_000_000


@given(st.dictionaries(st.sampled_from(("data_id", "type", "value", "user", "source", "comment",
    "metadata", "created_at", "unset", "id", "other")), st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4)
        | st.sampled_from(("rating", "good", "d", "action", "copied")),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=4,
    )))  # fmt: skip
def test_whatever_is_said_is_either_kept_or_refused_by_our_own_error(entry: Any) -> None:
    try:
        found = rows(entry)
    except (FeedbackRejected, NoGenerationInContext):
        return
    assert all(row.type in DEFAULT_TYPES for row in found)
