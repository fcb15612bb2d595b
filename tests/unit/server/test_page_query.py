"""The list's query string, there and back."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from afterword.errors import InvalidInput
from afterword.feedback.types import DEFAULT_TYPES
from afterword.model import FeedbackType
from afterword.server.pages.query import LogQuery, feedback_choices, parsed_value

TYPES = [
    *DEFAULT_TYPES.values(),
    FeedbackType(name="stars", cls="number", minimum=1, maximum=5, step=1),
    FeedbackType(name="safe", cls="boolean"),
]


def test_an_empty_form_asks_for_everything() -> None:
    query = LogQuery.read({"project": "", "text": "  ", "unknown": "x"})
    assert query.arguments(TYPES) == {}
    assert query.active == []
    assert query.encoded() == ""


def test_every_filter_reaches_the_client() -> None:
    query = LogQuery.read(
        {
            "text": "t", "project": "p", "feedback": "rating:bad", "sentiment": "negative",
            "status": "ok", "name": "n", "version": "v", "model": "m", "user": "u", "session": "s",
            "since": "2026-11-23T14:30", "until": "2026-11-23T16:30:00+02:00", "after": "c",
        }
    )  # fmt: skip
    assert query.arguments(TYPES) == {
        "text": "t", "project": "p", "feedback": {"rating": "bad"}, "sentiment": "negative",
        "status": "ok", "name": "n", "version": "v", "model": "m", "user": "u", "session": "s",
        "since": datetime(2026, 11, 23, 14, 30, tzinfo=UTC),
        "until": datetime(2026, 11, 23, 14, 30, tzinfo=UTC), "after": "c",
    }  # fmt: skip


def test_a_type_alone_asks_for_any_value() -> None:
    assert LogQuery(feedback="correction").arguments(TYPES) == {"feedback": {"correction": None}}


def test_values_are_read_in_the_kind_of_their_type() -> None:
    assert LogQuery(feedback="stars:4").arguments(TYPES) == {"feedback": {"stars": 4}}
    assert LogQuery(feedback="safe:yes").arguments(TYPES) == {"feedback": {"safe": True}}
    stars = TYPES[-2]
    assert parsed_value(stars, "4.5") == 4.5
    assert parsed_value(stars, "many") == "many"
    assert parsed_value(None, "4") == "4"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "fine"),
        ("sentiment", "neutral"),
        ("since", "yesterday"),
        ("until", "0001-01-01T00:00+14:00"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        LogQuery(**{field: value}).arguments(TYPES)
    assert caught.value.field == field


def test_changing_a_filter_starts_from_the_first_page() -> None:
    query = LogQuery(project="p", user="a&b=c", after="cursor")
    assert parse_qs(query.encoded(project="").lstrip("?")) == {"user": ["a&b=c"]}
    assert parse_qs(query.encoded(after="next").lstrip("?"))["after"] == ["next"]


def test_the_choices_name_every_label_and_keep_one_nobody_declared() -> None:
    groups = dict(feedback_choices(TYPES, "old:label"))
    assert [choice.value for choice in groups["rating"]] == ["rating", "rating:good", "rating:bad"]
    assert [choice.value for choice in groups["stars"]][1:] == [f"stars:{n}" for n in range(1, 6)]
    assert [choice.value for choice in groups["safe"]] == ["safe", "safe:yes", "safe:no"]
    assert [choice.value for choice in groups["asked for"]] == ["old:label"]
