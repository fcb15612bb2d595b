"""Feedback through the client: one call, a list, retries, and feedback that comes first."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import afterword
from afterword import Client, Feedback, Generation
from afterword.errors import FeedbackRejected, InvalidInput, NoGenerationInContext
from afterword.ids import new_id


def found(client: Client, data_id: str) -> Generation:
    generation = client.get(data_id)
    assert generation is not None
    return generation


def said(feedback: list[Feedback]) -> list[tuple[str, Any]]:
    return [(one.type, one.value) for one in feedback]


def test_one_call_returns_the_feedback_as_it_is_kept(client: Client) -> None:
    data_id = client.log(inputs="q")
    before = datetime.now(UTC)
    one = client.feedback(data_id, "rating", "good", user="user_123456", comment="clear")
    assert before - timedelta(seconds=1) < one.created_at == one.received_at
    assert (one.project, one.data_id, one.user) == ("main", data_id, "user_123456")
    assert not one.pending
    assert found(client, data_id).feedback == [one]
    assert found(client, data_id).feedback_history == [one]


def test_by_keyword_by_position_and_as_a_mapping_mean_the_same(client: Client) -> None:
    data_id = client.log(inputs="q")
    client.feedback(data_id=data_id, type="rating", value="good", user="a")
    client.feedback(data_id, "rating", "good", user="b")
    client.feedback([{"data_id": data_id, "type": "rating", "value": "good", "user": "c"}])
    kept = found(client, data_id).feedback
    assert [(one.user, one.value) for one in kept] == [("a", "good"), ("b", "good"), ("c", "good")]


def test_a_list_answers_in_request_order(client: Client) -> None:
    data_id = client.log(inputs="q")
    kept = client.feedback([
        {"data_id": data_id, "type": "rating", "value": "bad"},
        {"data_id": data_id, "type": "issue", "value": ["too_long", "irrelevant"]},
        {"data_id": data_id, "type": "correction", "value": "A better answer"},
    ])  # fmt: skip
    assert said(kept) == [
        ("rating", "bad"),
        ("issue", ["too_long", "irrelevant"]),
        ("correction", "A better answer"),
    ]
    assert said(found(client, data_id).feedback) == [
        ("rating", "bad"),
        ("issue", "too_long"),
        ("issue", "irrelevant"),
        ("correction", "A better answer"),
    ]


def test_of_a_list_the_last_word_on_the_same_thing_counts(client: Client) -> None:
    data_id = client.log(inputs="q")
    client.feedback([
        {"data_id": data_id, "type": "rating", "value": value} for value in ("good", "bad")
    ])  # fmt: skip
    assert said(found(client, data_id).feedback) == [("rating", "bad")]


def test_an_empty_list_is_nothing(client: Client) -> None:
    assert client.feedback([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "vibe", "value": "good"},
        {"type": "rating", "value": "great"},
        {"type": "comment", "value": 5},
        {"type": "rating", "value": "good", "mood": 1},
        "good",
    ],
)
def test_of_a_list_with_one_wrong_entry_nothing_is_kept(client: Client, wrong: Any) -> None:
    data_id = client.log(inputs="q")
    right = {"data_id": data_id, "type": "rating", "value": "good"}
    entry = {"data_id": data_id, **wrong} if isinstance(wrong, dict) else wrong
    with pytest.raises(FeedbackRejected, match="entry 1") as caught:
        client.feedback([right, entry, right])
    assert caught.value.index == 1
    assert found(client, data_id).feedback_history == []


def test_the_data_id_defaults_to_the_last_of_the_trail(client: Client) -> None:
    @afterword.generation(client=client)
    def answer() -> str:
        return "a"

    with afterword.trail():
        with pytest.raises(NoGenerationInContext):
            client.feedback(type="rating", value="good")
        answer()
        one = client.feedback(type="rating", value="good")
        (other,) = client.feedback([{"type": "comment", "value": "short"}])
        assert one.data_id == other.data_id == afterword.last_data_id()


@pytest.mark.anyio
async def test_the_awaitable_twin_keeps_the_same(client: Client) -> None:
    data_id = client.log(inputs="q")
    one = await client.afeedback(data_id, "rating", "good", user="a")
    (two,) = await client.afeedback([{"data_id": data_id, "type": "comment", "value": "ok"}])
    generation = await client.aget(data_id)
    assert generation is not None
    assert generation.feedback == [one, two]
    with pytest.raises(FeedbackRejected):
        await client.afeedback(data_id, "rating", "great")


@pytest.mark.anyio
async def test_many_awaited_at_once_are_all_kept(client: Client) -> None:
    data_id = client.log(inputs="q")
    kept = await asyncio.gather(
        *(client.afeedback(data_id, "rating", "good", user=f"u{n}") for n in range(200))
    )
    assert len({one.id for one in kept}) == 200
    assert len(found(client, data_id).feedback) == 200


def test_a_newer_value_replaces_and_history_keeps_both(client: Client) -> None:
    data_id = client.log(inputs="q")
    client.feedback(data_id, "rating", "good", user="a", comment="nice")
    client.feedback(data_id, "rating", "bad", user="a")
    generation = found(client, data_id)
    assert said(generation.feedback) == [("rating", "bad")]
    assert said(generation.feedback_history) == [("rating", "good"), ("rating", "bad")]


def test_an_older_value_that_arrives_late_does_not_replace(client: Client) -> None:
    data_id = client.log(inputs="q")
    client.feedback(data_id, "rating", "good", created_at="2026-03-02")
    client.feedback(data_id, "rating", "bad", created_at="2026-03-01")
    generation = found(client, data_id)
    assert said(generation.feedback) == [("rating", "good")]
    assert said(generation.feedback_history) == [("rating", "bad"), ("rating", "good")]


@pytest.mark.parametrize("how", [{"value": None}, {"value": "good", "unset": True}])
def test_a_retraction_at_any_later_date_takes_the_comment_along(
    client: Client, how: dict[str, Any]
) -> None:
    data_id = client.log(inputs="q")
    client.feedback(data_id, "rating", "good", user="a", comment="so kind", created_at="2025-01-01")
    one = client.feedback(data_id, "rating", **how, user="a", comment="no", created_at="2026-01-01")
    assert (one.value, one.comment, one.unset) == (None, None, True)
    generation = found(client, data_id)
    assert generation.feedback == []
    assert [past.unset for past in generation.feedback_history] == [False, True]
    client.feedback(data_id, "rating", "bad", user="a")
    assert said(found(client, data_id).feedback) == [("rating", "bad")]


def test_a_retraction_is_of_one_rater_and_one_type(client: Client) -> None:
    data_id = client.log(inputs="q")
    for user in ("a", "b"):
        client.feedback(data_id, "rating", "good", user=user)
    client.feedback(data_id, "comment", "mine", user="a")
    client.feedback(data_id, "rating", unset=True, user="a")
    assert [(one.user, one.type) for one in found(client, data_id).feedback] == [
        ("b", "rating"),
        ("a", "comment"),
    ]


def test_a_retry_is_the_same_row(client: Client) -> None:
    data_id = client.log(inputs="q")
    dated: dict[str, Any] = {
        "data_id": data_id, "type": "rating", "value": "good", "created_at": "2026-01-01",
    }  # fmt: skip
    first = client.feedback([dated])
    assert client.feedback([dated]) == first
    named = {"data_id": data_id, "type": "rating", "value": "bad", "id": "f-1"}
    second = client.feedback([named])
    assert client.feedback([named, named]) == second * 2
    several = {
        "data_id": data_id,
        "type": "issue",
        "value": ["too_long", "irrelevant"],
        "id": "f-2",
    }
    third = client.feedback([several])
    assert client.feedback([several]) == third
    assert len(found(client, data_id).feedback_history) == 4


def test_feedback_before_its_generation_waits_and_joins(client: Client) -> None:
    data_id = new_id()
    client.feedback(data_id, "rating", "good", user="a")
    waiting = found(client, data_id)
    assert (waiting.status, said(waiting.feedback)) == ("waiting", [("rating", "good")])
    assert client.generations(status="waiting").items == [waiting]
    client.log(data_id=data_id, inputs="q", output="a")
    joined = found(client, data_id)
    assert (joined.status, joined.output, joined.feedback) == ("ok", "a", waiting.feedback)
    assert client.generations().items == [joined]


@pytest.mark.parametrize("project", ["main", "other"])
def test_feedback_that_waits_joins_in_the_project_of_its_generation(
    client: Client, project: str
) -> None:
    data_id = new_id()
    for value in ("good", "bad"):
        client.feedback(data_id, "rating", value, user="a")
    client.feedback(data_id, "action", ["copied", "saved"], user="b")
    client.log(project, data_id=data_id, inputs="q")
    joined = found(client, data_id)
    assert joined.project == project
    assert said(joined.feedback) == [("rating", "bad"), ("action", "copied"), ("action", "saved")]
    assert {one.project for one in joined.feedback_history} == {project}
    assert client.generations(project, feedback={"rating": "bad"}).items == [joined]
    assert client.generations("main", status="waiting").items == []
    client.feedback(data_id, "rating", None, user="a")
    assert said(found(client, data_id).feedback) == [("action", "copied"), ("action", "saved")]


def test_feedback_is_judged_by_the_types_of_its_generation_s_project(client: Client) -> None:
    client.feedback_type("stars", "number", minimum=1, maximum=5, project="other")
    data_id = client.log("other", inputs="q")
    assert client.feedback(data_id, "stars", 4).project == "other"
    with pytest.raises(FeedbackRejected, match="stars"):
        client.feedback(client.log(inputs="q"), "stars", 4)


def test_an_id_from_outside_known_in_two_projects_means_the_client_s_own(client: Client) -> None:
    client.log("another", data_id="order-1", inputs="theirs")
    client.log("main", data_id="order-1", inputs="ours")
    assert found(client, "order-1").inputs == "ours"
    assert client.feedback("order-1", "rating", "good").project == "main"
    assert client.generations("another").items[0].feedback == []


@pytest.mark.parametrize(
    "external_id",
    ["C024BE91L/p1357", "msg 5 é", str(uuid.uuid4()), new_id(), "x\ud800y", "5" * 512],
)
def test_an_alias_stands_for_its_data_id(client: Client, external_id: str) -> None:
    data_id = client.log(inputs="q")
    client.alias(external_id, data_id)
    assert client.feedback(external_id, "rating", "good").data_id == data_id
    assert found(client, external_id) == found(client, data_id)
    client.alias("another", external_id)
    assert found(client, "another").id == data_id


def test_an_alias_is_found_in_the_client_s_own_project_first(client: Client) -> None:
    theirs, ours = client.log("another", inputs="theirs"), client.log(inputs="ours")
    client.alias("message 1", theirs)
    assert found(client, "message 1").id == theirs
    client.alias("message 1", ours)
    assert found(client, "message 1").id == ours


@pytest.mark.parametrize("external_id", ["", "x" * 513, "a\0b", 5, None])
def test_an_alias_that_is_no_text_is_refused(client: Client, external_id: Any) -> None:
    with pytest.raises(InvalidInput):
        client.alias(external_id, client.log(inputs="q"))


operations = st.lists(
    st.tuples(
        st.sampled_from(("a", "b", None)),
        st.sampled_from((
            ("rating", "good"), ("rating", "bad"), ("rating", None),
            ("action", ["copied"]), ("action", ["saved", "copied"]), ("action", None),
            ("comment", "words"), ("comment", None),
        )),
        st.integers(0, 5),
    ),
    max_size=10,
)  # fmt: skip


@settings(max_examples=60)
@given(operations, st.randoms(use_true_random=False), st.booleans())
def test_what_counts_is_the_same_in_whatever_order_it_arrives_and_however_often(
    shared_client: Client, operations: list[Any], chance: Any, generation_first: bool
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    entries = [
        {
            "id": f"f-{number}-{new_id()}",
            "type": kind,
            "value": value,
            "user": user,
            "created_at": start + timedelta(seconds=60 * at + number),
        }
        for number, (user, (kind, value), at) in enumerate(operations)
    ]
    model: dict[tuple[str | None, str], set[str]] = {}
    for entry in sorted(entries, key=lambda entry: entry["created_at"]):
        key = (entry["user"], entry["type"])
        if entry["value"] is None:
            model.pop(key, None)
        elif isinstance(entry["value"], list):
            model.setdefault(key, set()).update(entry["value"])
        else:
            model[key] = {entry["value"]}

    data_id = new_id()
    arriving = [{"data_id": data_id, **entry} for entry in entries]
    arriving += chance.sample(arriving, len(arriving) // 2)
    chance.shuffle(arriving)
    if generation_first:
        shared_client.log(data_id=data_id)
    for entry in arriving:
        shared_client.feedback([entry])
    shared_client.log(data_id=data_id)

    generation = found(shared_client, data_id)
    counting: dict[tuple[str | None, str], set[str]] = {}
    for one in generation.feedback:
        counting.setdefault((one.user, one.type), set()).add(str(one.value))
    assert counting == model
    listed = shared_client.generations(feedback={"rating": "good"}, limit=500).items
    rated_good = any(key[1] == "rating" and "good" in kept for key, kept in model.items())
    assert (data_id in {item.id for item in listed}) == rated_good


@pytest.fixture(scope="module")
def shared_client() -> Any:
    client = Client("memory:", project="main")
    yield client
    client.close()
