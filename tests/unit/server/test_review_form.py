"""From a reviewer's form to feedback."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from afterword.errors import FeedbackRejected
from afterword.feedback.types import DEFAULT_TYPES
from afterword.model import Feedback, FeedbackType, Generation
from afterword.server.pages.review import retraction, review_entries, review_fields

NOW = datetime(2026, 11, 23, tzinfo=UTC)
TYPES = [
    *DEFAULT_TYPES.values(),
    FeedbackType(name="stars", cls="number", minimum=1, maximum=5),
    FeedbackType(name="reviewer", cls="text", signal="free-form"),
]


def generation(output: Any = "One\r\ntwo ", feedback: list[Feedback] | None = None) -> Generation:
    return Generation(id="g", project="p", created_at=NOW, output=output, feedback=feedback or [])


def feedback(**fields: Any) -> Feedback:
    given: dict[str, Any] = {
        "id": "f", "project": "p", "data_id": "g", "type": "correction", "value": "Better",
        "user": "Ana", "source": "reviewer", "created_at": NOW, "received_at": NOW, **fields,
    }  # fmt: skip
    return Feedback(**given)


def values(form: dict[str, list[str]], found: Generation | None = None) -> dict[str, Any]:
    entries = review_entries(form, found or generation(), TYPES)
    return {entry["type"]: entry["value"] for entry in entries}


def test_each_filled_field_is_one_feedback_of_the_named_reviewer() -> None:
    form = {
        "rating": ["bad"], "issue": ["incorrect", "too_long"], "comment": ["Hm.\r\nNo."],
        "stars": ["2"], "correction": [" "], "reviewer": [" Ana "],
    }  # fmt: skip
    assert values(form) == {
        "rating": "bad", "issue": ["incorrect", "too_long"], "comment": "Hm.\nNo.", "stars": 2,
    }  # fmt: skip
    first = review_entries(form, generation(), TYPES)[0]
    assert (first["data_id"], first["user"], first["source"]) == ("g", "Ana", "reviewer")


def test_a_reviewer_without_a_name_is_called_reviewer() -> None:
    assert review_entries({"rating": ["good"]}, generation(), TYPES)[0]["user"] == "reviewer"


def test_a_correction_that_changes_nothing_is_not_recorded() -> None:
    form = {"rating": ["good"], "correction": ["One\r\ntwo"]}
    assert values(form) == {"rating": "good"}


def test_a_correction_that_changes_something_is() -> None:
    assert values({"correction": ["One\r\nthree"]}) == {"correction": "One\nthree"}


def test_the_correction_of_an_output_with_nul_and_surrogates_survives_the_textarea() -> None:
    found = generation("a\x00b")
    with pytest.raises(FeedbackRejected):
        review_entries({"correction": ["a\ufffdb"]}, found, TYPES)


def test_a_form_that_says_nothing_is_refused() -> None:
    with pytest.raises(FeedbackRejected, match="first"):
        review_entries({"reviewer": ["Ana"], "correction": ["One\ntwo"]}, generation(), TYPES)


def test_behaviour_cannot_be_claimed_by_a_reviewer() -> None:
    with pytest.raises(FeedbackRejected):
        review_entries({"action": ["copied"]}, generation(), TYPES)
    assert "action" not in [field.name for field in review_fields(generation(), TYPES, None)]


def test_a_type_called_reviewer_does_not_clash_with_the_name() -> None:
    assert values({"reviewer": ["Ana"], "type:reviewer": ["x"]}) == {"reviewer": "x"}


def test_the_correction_starts_from_the_output_as_text() -> None:
    def start(found: Generation) -> str:
        fields = review_fields(found, TYPES, None)
        return next(field.text for field in fields if field.name == "correction")

    assert start(generation("So.")) == "So."
    assert start(generation({"a": 1})) == '{\n  "a": 1\n}'
    assert start(generation(None)) == ""
    assert (
        start(generation("So.", [feedback(), feedback(source="end_user", value="x")])) == "Better"
    )


def test_an_output_too_long_for_a_form_is_not_put_into_it() -> None:
    fields = review_fields(generation("é" * 10_000), TYPES, None)
    correction = next(field for field in fields if field.name == "correction")
    assert correction.text == ""
    assert "too long" in correction.note


def test_a_refused_form_keeps_what_was_entered() -> None:
    form = {"rating": ["bad"], "comment": ["mine"]}
    fields = {field.name: field for field in review_fields(generation(), TYPES, form)}
    assert fields["rating"].chosen == ("bad",)
    assert fields["comment"].text == "mine"
    assert fields["correction"].text == ""


def test_only_a_reviewers_current_feedback_can_be_taken_back() -> None:
    label = feedback(id="label", type="issue", value="too_long")
    users = feedback(id="users", source="end_user")
    found = generation(feedback=[label, users])
    assert retraction(found, "label") == {
        "data_id": "g", "type": "issue", "value": "too_long", "user": "Ana",
        "source": "reviewer", "unset": True,
    }  # fmt: skip
    for feedback_id in ("users", "unknown"):
        with pytest.raises(FeedbackRejected):
            retraction(found, feedback_id)
