"""Every feedback class keeps the same contract. A class is found by its file, and needs a sample here."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterword import Client
from afterword.codec import from_json, to_json
from afterword.errors import FeedbackRejected
from afterword.feedback import classes
from afterword.feedback.classes import class_names, feedback_class
from afterword.feedback.types import declare
from afterword.model import FeedbackType


class Sample(NamedTuple):
    """A declaration of a class; values it takes, as given and as kept; and values it does not."""

    declared: dict[str, Any]
    takes: list[tuple[Any, Any]]
    refuses: list[Any]


SAMPLES = {
    "boolean": Sample({}, [(True, True), (False, False)], [1, 0, "true", [True], {}]),
    "multi_select": Sample(
        {"labels": {"a": "+", "b": "-", "c": ""}},
        [("a", "a"), (["b"], "b"), (["a", "c", "a"], ["a", "c"]), (("b", "c"), ["b", "c"])],
        ["d", [], ["a", "d"], [["a"]], {"a": 1}, 1, True],
    ),
    "number": Sample(
        {"minimum": 1, "maximum": 5, "step": 0.5},
        [(1, 1), (5, 5), (2.5, 2.5), (3.0, 3)],
        [0, 6, 1.2, "3", True, math.nan, math.inf, -math.inf, 10**400, 10**5000, [3]],
    ),
    "select": Sample(
        {"labels": ["a", "b"]}, [("a", "a"), ("b", "b")], ["c", "", ["a"], {}, 1, True, 10**5000]
    ),
    "text": Sample({}, [("words", "words"), (" ", " ")], ["", 5, True, ["words"], {}, b"words"]),
}
TAKEN = [(name, value, kept) for name, sample in SAMPLES.items() for value, kept in sample.takes]
REFUSED = [(name, value) for name, sample in SAMPLES.items() for value in sample.refuses]


def definition(name: str) -> FeedbackType:
    return declare("sample", name, **SAMPLES[name].declared)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client("memory:", project="main")
    for name in class_names():
        client.feedback_type(name, name, **SAMPLES[name].declared)
    yield client
    client.close()


def test_every_class_in_the_folder_is_known_and_sampled() -> None:
    files = {found.name for found in pkgutil.iter_modules(classes.__path__)}
    assert set(class_names()) == files == set(SAMPLES)


@pytest.mark.parametrize("name", class_names())
def test_a_definition_survives_being_completed_twice(name: str) -> None:
    once = definition(name)
    assert feedback_class(name).define(once) == once


@pytest.mark.parametrize(("name", "value", "kept"), TAKEN)
def test_what_a_class_takes_is_read_back_in_its_canonical_spelling(
    client: Client, name: str, value: Any, kept: Any
) -> None:
    data_id = client.log(inputs="q")
    answer = client.feedback(data_id, name, value)
    assert answer.value == kept
    assert type(answer.value) is type(kept)
    found = client.get(data_id)
    assert found is not None
    several = feedback_class(name).KEEPS_SEVERAL
    assert [said.value for said in found.feedback] == (
        kept if several and isinstance(kept, list) else [kept]
    )


@pytest.mark.parametrize(
    ("name", "value"),
    REFUSED,
    ids=lambda part: f"{part!s:.20}" if not isinstance(part, int) else "number",
)
def test_what_a_class_does_not_take_is_refused_and_not_kept(
    client: Client, name: str, value: Any
) -> None:
    data_id = client.log(inputs="q")
    with pytest.raises(FeedbackRejected) as caught:
        client.feedback(data_id, name, value)
    assert caught.value.field == "value"
    assert name in str(caught.value)
    assert caught.value.allowed
    found = client.get(data_id)
    assert found is not None
    assert found.feedback_history == []


@pytest.mark.parametrize("name", class_names())
def test_any_value_retracted_counts_no_more(client: Client, name: str) -> None:
    data_id = client.log(inputs="q")
    client.feedback(data_id, name, SAMPLES[name].takes[0][0], comment="why")
    client.feedback(data_id, name, None)
    found = client.get(data_id)
    assert found is not None
    assert found.feedback == []
    assert [said.unset for said in found.feedback_history] == [False, True]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3)
    | st.sampled_from(("a", "b", "c")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@pytest.mark.parametrize("name", class_names())
@given(value=anything)
@example(value=1e308)
@example(value=-1e308)
def test_a_value_is_taken_or_refused_and_what_is_taken_is_taken_again(
    name: str, value: Any
) -> None:
    known = definition(name)
    module = feedback_class(name)
    try:
        kept = module.accept(known, value)
    except FeedbackRejected:
        return
    assert kept
    assert module.KEEPS_SEVERAL or len(kept) == 1
    for one in kept:
        assert module.accept(known, one) == [one]
        assert from_json(to_json(one)) == one


@pytest.mark.parametrize("value", [True, 1, "up", "good"])
def test_a_rating_may_be_spelled_so_to_mean_good(client: Client, value: Any) -> None:
    assert client.feedback(client.log(inputs="q"), "rating", value).value == "good"


@pytest.mark.parametrize("value", [False, 0, -1, "down", "bad"])
def test_a_rating_may_be_spelled_so_to_mean_bad(client: Client, value: Any) -> None:
    assert client.feedback(client.log(inputs="q"), "rating", value).value == "bad"


@pytest.mark.parametrize("value", [2, 1.0, "Good", "yes", "UP"])
def test_a_rating_may_not_be_spelled_otherwise(client: Client, value: Any) -> None:
    with pytest.raises(FeedbackRejected):
        client.feedback(client.log(inputs="q"), "rating", value)


def test_the_spellings_of_a_rating_stay_when_labels_are_added() -> None:
    known = declare("rating", "select", ["good", "bad", "up", "mixed"])
    accept = feedback_class("select").accept
    assert accept(known, True) == ["good"]
    assert accept(known, "down") == ["bad"]
    assert accept(known, "up") == ["up"]


def test_steps_too_many_to_count_are_refused() -> None:
    fine = declare("sample", "number", step=1e-10)
    with pytest.raises(FeedbackRejected, match="steps of 1e-10"):
        feedback_class("number").accept(fine, 1e308)
