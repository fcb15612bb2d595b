"""Logging by hand: what is taken, what is refused, and what a trail adds."""

from __future__ import annotations

from typing import Any

import pytest

import afterword
from afterword import Client
from afterword.errors import FeedbackRejected, InvalidInput
from afterword.ids import new_id

KEY = "sk-proj-abcdefghijklmnopqrstuvwx"


def test_a_data_id_from_outside_is_taken_as_it_is(client: Client) -> None:
    for data_id in ("order-1", "x" * 128, "A.b_c-9"):
        assert client.log(data_id=data_id) == data_id
        assert client.get(data_id) is not None


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("data_id", {"data_id": "no spaces"}),
        ("data_id", {"data_id": "x" * 129}),
        ("data_id", {"data_id": ""}),
        ("data_id", {"data_id": "a\n"}),
        ("parent_id", {"parent_id": "é"}),
        ("project", {"project": ""}),
        ("project", {"project": "a\nb"}),
        ("project", {"project": 5}),
        ("name", {"name": 5}),
        ("user", {"user": ["ann"]}),
        ("tags", {"tags": "one"}),
        ("tags", {"tags": [1]}),
        ("tags", {"tags": None}),
        ("metadata", {"metadata": [1]}),
        ("usage.input_tokens", {"usage": {"input_tokens": -1}}),
        ("usage.output_tokens", {"usage": {"output_tokens": "5"}}),
        ("cost_usd", {"cost_usd": -0.1}),
        ("cost_usd", {"cost_usd": float("nan")}),
        ("duration_s", {"duration_s": "1"}),
        ("duration_s", {"duration_s": 10**400}),
        ("created_at", {"created_at": "yesterday"}),
        ("error", {"error": 5}),
    ],
)
def test_a_field_that_is_not_usable_is_named_and_nothing_is_logged(
    client: Client, field: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.log(inputs="q", **fields)
    assert caught.value.field == field
    assert client.status().captured == 0


def test_tokens_may_be_counted_in_the_provider_s_words(client: Client) -> None:
    kept = client.get(client.log(usage={"prompt_tokens": 3, "completion_tokens": 4}))
    assert kept is not None
    assert kept.usage is not None
    assert (kept.usage.input_tokens, kept.usage.output_tokens) == (3, 4)


def test_feedback_given_along_is_kept_along(client: Client) -> None:
    data_id = client.log(
        inputs="q", feedback=[{"type": "rating", "value": "bad"}, {"type": "comment", "value": "x"}]
    )
    one = client.log("other", inputs="q", feedback={"type": "rating", "value": "good"})
    for known, project, values in ((data_id, "main", ["bad", "x"]), (one, "other", ["good"])):
        kept = client.get(known)
        assert kept is not None
        assert (kept.status, kept.project) == ("ok", project)
        assert [said.value for said in kept.feedback] == values
        assert {said.project for said in kept.feedback} == {project}


@pytest.mark.parametrize("wrong", [[{"type": "rating", "value": "great"}], [5], "good"])
def test_feedback_that_does_not_fit_keeps_the_generation_out_too(
    client: Client, wrong: Any
) -> None:
    with pytest.raises(FeedbackRejected):
        client.log(inputs="q", feedback=wrong)
    assert client.generations().items == []


def test_an_open_trail_gives_user_and_session(client: Client) -> None:
    with afterword.trail(user="ann", session="s1"):
        inside = client.get(client.log(inputs="q"))
        spoken = client.get(client.log(inputs="q", user="bob"))
    assert inside is not None
    assert spoken is not None
    assert (inside.user, inside.session) == ("ann", "s1")
    assert (spoken.user, spoken.session) == ("bob", "s1")


def test_logged_within_a_decorated_call_it_is_a_child_of_that_call(client: Client) -> None:
    @afterword.generation(client=client)
    def outer() -> str:
        return inner()

    @afterword.generation(client=client)
    def inner() -> str:
        return client.log(inputs="a step")

    with afterword.trail() as trail:
        kept = client.get(outer())
        assert kept is not None
        parent = client.get(kept.parent_id or "")
        assert parent is not None
        assert parent.parent_id == kept.root_id == trail.last


def test_secrets_are_taken_out_of_every_field_that_holds_text(client: Client) -> None:
    data_id = client.log(
        inputs={"key": KEY, KEY: [KEY, {"deep": f"a {KEY}"}], "raw": KEY.encode()},
        output=KEY,
        messages=[{"content": KEY}],
        error=ValueError(KEY),
        metadata={"note": KEY},
        tags=[KEY],
        feedback={"type": "correction", "value": KEY, "comment": KEY, "metadata": {"k": KEY}},
    )
    kept = client.get(data_id)
    assert kept is not None
    assert KEY not in repr(kept)
    assert repr(kept).count("<redacted: api key>") == 16


def test_text_that_no_store_takes_is_made_storable_or_kept_without_loss(client: Client) -> None:
    odd = "a\0b\ud800c\ufeff\u2028😀"
    data_id = client.log(inputs={odd: odd}, output=odd, name=odd, model=odd, user=odd, session=odd)
    kept = client.get(data_id)
    assert kept is not None
    assert (kept.inputs, kept.output) == ({odd: odd}, odd)
    storable = "a\\x00b\\ud800c\ufeff\u2028😀"
    assert {kept.name, kept.model, kept.user, kept.session} == {storable}
    assert [one.id for one in client.generations(user=odd).items] == [data_id]


def test_what_did_not_fit_the_budget_is_cut_and_says_so(client: Client) -> None:
    kept = client.get(client.log(inputs="x" * 3_000_000, output="short", metadata={"mine": 1}))
    assert kept is not None
    assert len(kept.inputs) < 1_100_000
    assert "<truncated: " in kept.inputs
    assert kept.output == "short"
    assert kept.metadata == {"mine": 1, "truncated": ["inputs"]}


def test_the_same_id_logged_twice_keeps_the_first(client: Client) -> None:
    data_id = new_id()
    client.log(data_id=data_id, output="first")
    client.log(data_id=data_id, output="second")
    kept = client.get(data_id)
    assert kept is not None
    assert kept.output == "first"
    assert len(client.generations().items) == 1
