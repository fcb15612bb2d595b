"""Records: times to the microsecond, and every field of the wire format."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword.model import (
    Feedback,
    FeedbackType,
    Generation,
    GenerationError,
    Label,
    Status,
    Usage,
    from_microseconds,
    to_microseconds,
)

moments = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)
)


@given(moments)
def test_a_time_survives_to_the_microsecond(moment: datetime) -> None:
    assert from_microseconds(to_microseconds(moment)) == moment


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_a_time_elsewhere_is_the_same_moment(moment: datetime, minutes: int) -> None:
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert to_microseconds(there) == to_microseconds(moment)


def test_a_naive_time_is_utc() -> None:
    assert to_microseconds(datetime(1970, 1, 1, 0, 0, 1)) == 1_000_000


def test_the_fields_of_a_generation_are_those_of_the_wire_format() -> None:
    promised = (
        "id project name version parent_id root_id session user status created_at duration_ms"
        " first_token_ms inputs messages output error model provider usage cost_usd tags metadata"
        " trace_id span_id"
    )
    fields = Generation.__struct_fields__
    assert fields == (*promised.split(), "feedback", "feedback_history")


def test_the_fields_of_feedback_are_those_of_the_wire_format() -> None:
    promised = (
        "id project data_id type value sentiment signal user subject source comment metadata"
        " created_at received_at unset"
    )
    assert Feedback.__struct_fields__ == (*promised.split(), "pending")


def test_the_counts_of_a_status_are_the_promised_ones() -> None:
    promised = "captured stored buffered spooled dead_lettered dropped faults"
    assert Status.__struct_fields__ == tuple(promised.split())


def test_a_generation_is_written_and_read_as_json_without_loss() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    one = Feedback(
        id="f", project="p", data_id="d", type="rating", value="good", created_at=now,
        received_at=now,
    )  # fmt: skip
    generation = Generation(
        id="d", project="p", created_at=now, error=GenerationError("E", "m"), usage=Usage(1, 2),
        tags=["a"], inputs={"q": [1, None, 2.5]}, feedback=[one], feedback_history=[one],
    )  # fmt: skip
    text = msgspec.json.encode(generation)
    assert msgspec.json.decode(text, type=Generation) == generation
    assert b'"created_at":"2026-01-02T03:04:05.678901Z"' in text


def test_records_do_not_share_their_lists() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    one, two = (Generation(id="d", project="p", created_at=now) for _ in range(2))
    one.tags.append("mine")
    one.feedback_history.append(
        Feedback(
            id="f", project="p", data_id="d", type="t", value=1, created_at=now, received_at=now
        )
    )
    assert (two.tags, two.feedback, two.feedback_history) == ([], [], [])


def test_definitions_cannot_be_changed() -> None:
    stars = FeedbackType(name="stars", cls="number", labels=(Label("a"),))
    with pytest.raises(AttributeError):
        stars.name = "other"  # type: ignore[misc]
