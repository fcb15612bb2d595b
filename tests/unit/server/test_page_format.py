"""Numbers, times and names as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from afterword.model import Feedback
from afterword.server.pages import format as formats
from afterword.server.pages.conversation import MAX_TURNS, conversation


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0.0, "0.0 ms"),
        (0.42, "0.4 ms"),
        (9.96, "10 ms"),
        (840.4, "840 ms"),
        (999.6, "1.0 s"),
        (4_230, "4.2 s"),
        (59_949, "59.9 s"),
        (59_999, "1 min 0 s"),
        (192_000, "3 min 12 s"),
        (3_599_900, "1 h 0 min"),
        (7_500_000, "2 h 5 min"),
    ],
)
def test_durations_are_said_in_the_unit_that_fits(ms: float, said: str) -> None:
    assert formats.duration(ms) == said


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (0, "$0.00"),
        (0.00123, "$0.00123"),
        (0.00001, "$0.00001"),
        (0.5, "$0.5"),
        (1234.5, "$1,234.50"),
    ],
)
def test_costs_keep_the_digits_that_matter(usd: float, said: str) -> None:
    assert formats.cost(usd) == said


def test_times_are_shown_in_utc() -> None:
    when = datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2)))
    at = formats.moment(when)
    assert (at.day, at.time) == ("2026-11-22", "23:02:03")
    assert at.iso == "2026-11-22T23:02:03.000004Z"


def test_a_dotted_name_keeps_its_end() -> None:
    assert formats.short_name("support.bots.handlers.SupportBot.reply") == "…SupportBot.reply"
    assert formats.short_name("answer") == "answer"
    assert formats.short_name("x" * 40) == "x" * 40


def test_values_are_said_in_words() -> None:
    assert formats.value_text(True) == "yes"
    assert formats.value_text(4.0) == "4"
    assert formats.value_text(["a", "b"]) == "a, b"
    assert formats.value_text(None) == ""


def test_a_rater_without_a_name_is_told_apart_by_subject() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    feedback = Feedback(
        id="f", project="p", data_id="d", type="rating", value="good",
        subject="0123456789abcdef", created_at=now, received_at=now,
    )  # fmt: skip
    assert formats.rater(feedback) == "anonymous 01234567"
    feedback.subject = None
    assert formats.rater(feedback) == "nobody named"


def test_messages_with_roles_are_a_conversation() -> None:
    found = conversation(
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "image", "id": 1}],
            },
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
        ]
    )
    assert found is not None
    assert [(turn.role, turn.text) for turn in found.turns] == [("user", "a"), ("assistant", "")]
    assert found.turns[0].extra == {"content": [{"type": "image", "id": 1}]}
    assert found.turns[1].extra == {"tool_calls": [{"id": "c"}]}


@pytest.mark.parametrize(
    "messages", [None, [], "text", {"role": "user"}, [{"content": "x"}], ["x"]]
)
def test_anything_else_is_no_conversation(messages: object) -> None:
    assert conversation(messages) is None


def test_a_very_long_conversation_keeps_its_end() -> None:
    found = conversation([{"role": "user", "content": str(n)} for n in range(MAX_TURNS + 3)])
    assert found is not None
    assert found.left_out == 3
    assert found.turns[-1].text == str(MAX_TURNS + 2)
