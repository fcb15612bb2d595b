"""Feedback types: the defaults, and what may be declared."""

from __future__ import annotations

from typing import Any

import pytest

from afterword.errors import InvalidInput
from afterword.feedback.types import DEFAULT_TYPES, declare
from afterword.model import Label


def test_the_defaults_are_those_that_were_promised() -> None:
    told = {
        name: (
            found.cls,
            {label.name: label.sentiment for label in found.labels},
            found.signal,
        )
        for name, found in DEFAULT_TYPES.items()
    }
    plus, minus = "positive", "negative"
    assert told == {
        "rating": ("select", {"good": plus, "bad": minus}, "explicit"),
        "action": (
            "multi_select",
            {
                "copied": plus, "saved": plus, "shared": plus, "inserted": plus,
                "dismissed": minus, "regenerated": minus,
            },
            "implicit",
        ),
        "issue": (
            "multi_select",
            dict.fromkeys(
                ("incorrect", "incomplete", "irrelevant", "offensive", "too_long", "bad_format"),
                minus,
            ),
            "explicit",
        ),
        "correction": ("text", {}, "free-form"),
        "comment": ("text", {}, "free-form"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "labels",
    [
        {"yes": "positive", "no": "negative", "eh": None},
        {"yes": "+", "no": "−", "eh": ""},  # noqa: RUF001
        {"yes": 1, "no": -1, "eh": 0},
        [("yes", "positive"), ["no", "-"], ("eh", "neutral")],
        [{"name": "yes", "sentiment": "positive"}, {"value": "no", "sentiment": "negative"}, "eh"],
        [Label("yes", "positive"), Label("no", "negative"), Label("eh")],
    ],
)
def test_labels_may_be_spelled_in_many_ways(labels: Any) -> None:
    found = declare("verdict", "select", labels)
    assert found.labels == (Label("yes", "positive"), Label("no", "negative"), Label("eh"))


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "a" * 65}),
        ("name", {"name": "<b>"}),
        ("name", {"name": 5}),
        ("cls", {"cls": "stars"}),
        ("cls", {"cls": ["select"]}),
        ("labels", {"labels": None}),
        ("labels", {"labels": "good"}),
        ("labels", {"labels": ["a", "a"]}),
        ("labels", {"labels": [""]}),
        ("labels", {"labels": [3]}),
        ("labels", {"labels": ["a\ud800"]}),
        ("labels", {"labels": ["a\0"]}),
        ("labels", {"labels": {"a": "great"}}),
        ("labels", {"labels": {"a": []}}),
        ("labels", {"labels": [f"label {number}" for number in range(101)]}),
        ("signal", {"signal": "loud"}),
        ("minimum", {"cls": "number", "minimum": 5, "maximum": 1}),
        ("maximum", {"cls": "number", "maximum": "9"}),
        ("minimum", {"cls": "number", "minimum": float("nan")}),
        ("maximum", {"cls": "number", "maximum": 10**400}),
        ("step", {"cls": "number", "step": 0}),
        ("step", {"cls": "number", "step": True}),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_with_the_field_named(
    field: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        declare(**{"name": "verdict", "cls": "select", "labels": ["yes", "no"], **arguments})
    assert caught.value.field == field


def test_an_unknown_class_is_refused_with_the_known_ones_named() -> None:
    with pytest.raises(InvalidInput, match="boolean, multi_select, number, select, text"):
        declare("verdict", "stars")


def test_text_is_free_form_and_the_rest_explicit_unless_said_otherwise() -> None:
    assert declare("note", "text").signal == "free-form"
    assert declare("stars", "number").signal == "explicit"
    assert declare("seen", "boolean", signal="implicit").signal == "implicit"
