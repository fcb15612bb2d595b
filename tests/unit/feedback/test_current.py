"""The current-value rule, against a model that says the same in other words."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from afterword.codec import to_json
from afterword.feedback.current import KEPT_REVISIONS, age, current, repeated, surplus
from afterword.feedback.rows import FeedbackRow

Said = Callable[..., FeedbackRow]
USERS = ("ann", "bob")
LABELS = ("copied", "saved")


@st.composite
def rows(draw: st.DrawFn) -> FeedbackRow:
    """A statement on one of two data IDs; times collide often, IDs never."""
    kind = draw(st.sampled_from(("rating", "action")))
    several = kind == "action"
    unset = draw(st.booleans())
    values = LABELS if several else ("good", "bad")
    value = draw(st.sampled_from(values) if not unset else st.none())
    label = value or draw(st.sampled_from(("", *LABELS))) if several else ""
    user = draw(st.sampled_from(USERS))
    at = draw(st.integers(1, 6))
    return FeedbackRow(
        id=draw(st.uuids()).hex,
        project=draw(st.sampled_from(("p", "q"))),
        data_id=draw(st.sampled_from(("d1", "d2"))),
        type=kind,
        label=label,
        several=several,
        value=None if value is None else to_json(value),
        sentiment=None,
        signal="explicit",
        user=user,
        subject=None,
        rater=user,
        source="end_user",
        comment=draw(st.sampled_from((None, '"why"'))),
        metadata=None,
        created_at=at,
        received_at=at + draw(st.integers(0, 2)),
        unset=unset,
    )


def counts(row: FeedbackRow, history: list[FeedbackRow]) -> bool:
    """Whether a statement counts: it says something, and nothing newer speaks of the same."""

    def speaks_of_the_same(other: FeedbackRow) -> bool:
        same_key = all(
            getattr(other, field) == getattr(row, field)
            for field in ("project", "data_id", "type", "rater")
        )
        takes_all_back = other.unset and not other.label
        return same_key and (other.label == row.label or takes_all_back)

    return not row.unset and not any(
        speaks_of_the_same(other) and age(other) > age(row) for other in history
    )


@given(st.lists(rows(), max_size=12), st.randoms(use_true_random=False))
def test_what_counts_is_what_nothing_newer_speaks_against(
    history: list[FeedbackRow], chance: random.Random
) -> None:
    expected = sorted((row for row in history if counts(row, history)), key=age)
    shuffled = list(history)
    chance.shuffle(shuffled)
    assert current(shuffled) == expected


@given(st.lists(rows(), max_size=12))
def test_what_counts_is_the_same_when_the_rest_is_forgotten(history: list[FeedbackRow]) -> None:
    standing = current(history)
    assert current(standing) == standing
    for row in standing:
        assert sum(msgspec.structs.asdict(row) == msgspec.structs.asdict(r) for r in history) == 1


def test_a_newer_value_of_the_same_user_replaces(said: Said) -> None:
    good, bad = said("ann", "rating", "good", 1), said("ann", "rating", "bad", 2)
    assert current([bad, good]) == [bad]


def test_two_users_stand_side_by_side(said: Said) -> None:
    ann, bob = said("ann", "rating", "good", 1), said("bob", "rating", "bad", 2)
    assert current([ann, bob]) == [ann, bob]


def test_labels_of_a_multi_select_stand_side_by_side(said: Said) -> None:
    copied, saved = said("ann", "action", "copied", 1), said("ann", "action", "saved", 2)
    assert current([copied, saved]) == [copied, saved]


def test_one_label_is_retracted_alone_and_no_label_retracts_all(said: Said) -> None:
    copied, saved = said("ann", "action", "copied", 1), said("ann", "action", "saved", 2)
    one = said("ann", "action", None, 3, label="copied")
    everything = said("ann", "action", None, 4)
    assert current([copied, saved, one]) == [saved]
    assert current([copied, saved, one, everything]) == []


def test_a_retraction_that_arrives_before_what_it_retracts_still_does(said: Said) -> None:
    good = said("ann", "rating", "good", 5, received_at=9)
    taken_back = said("ann", "rating", None, 6, received_at=7)
    assert current([taken_back, good]) == []


def test_of_two_said_at_once_the_one_received_later_counts(said: Said) -> None:
    first = said("ann", "rating", "good", 5, received_at=6)
    second = said("ann", "rating", "bad", 5, received_at=7)
    assert current([second, first]) == [second]


def by_token(said: Said, value: str | None, at: int, **fields: object) -> FeedbackRow:
    return said("", "rating", value, at, user=None, subject="s", rater="s", **fields)


def test_a_token_holder_who_says_the_same_again_leaves_no_row(said: Said) -> None:
    once = by_token(said, "good", 1)
    again = by_token(said, "good", 2)
    assert repeated([once], again) is once
    assert repeated([once], by_token(said, "bad", 2)) is None
    assert repeated([once], by_token(said, "good", 2, comment='"because"')) is None


def test_a_token_holder_who_retracts_twice_leaves_one_retraction(said: Said) -> None:
    once = by_token(said, "good", 1)
    gone = by_token(said, None, 2)
    assert repeated([once], gone) is None
    assert repeated([once, gone], by_token(said, None, 3)) is gone
    assert repeated([], by_token(said, None, 3)) is None


def test_what_is_said_again_by_another_way_in_is_a_row_of_its_own(said: Said) -> None:
    once = said("ann", "rating", "good", 1)
    assert repeated([once], said("ann", "rating", "good", 2)) is None
    dated = by_token(said, "good", 1, received_at=2)
    assert repeated([by_token(said, "good", 0)], dated) is None


def test_only_the_oldest_words_of_token_holders_are_surplus(said: Said) -> None:
    spoken = [by_token(said, "good", at) for at in range(KEPT_REVISIONS + 3)]
    named = said("ann", "rating", "good", 0)
    assert surplus([named, *reversed(spoken)], spoken[-1]) == spoken[:3]
    assert surplus([named, *spoken], named) == []
