"""Reading back through the client: one generation, pages, filters, erasure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from afterword import Client
from afterword.errors import InvalidInput
from afterword.ids import new_id
from afterword.model import Generation

START = datetime(2026, 1, 1, tzinfo=UTC)


def ids(generations: Any) -> list[str]:
    return [generation.id for generation in generations]


def read_all(client: Client, limit: int, **filters: Any) -> list[Generation]:
    """Every page after the other, checking that only the last has no next."""
    items: list[Generation] = []
    after = None
    while True:
        page = client.generations(limit=limit, after=after, **filters)
        items += page.items
        assert page.items or not items
        if page.next is None:
            return items
        assert len(page.items) == limit
        after = page.next


def test_what_was_logged_is_read_back_field_by_field(client: Client) -> None:
    data_id = client.log(
        inputs={"question": "Who?"},
        output={"text": "You"},
        messages=[{"role": "user", "content": "Who?"}],
        name="answer",
        version="v2",
        model="small",
        provider="local",
        usage={"input_tokens": 3, "output_tokens": 5},
        cost_usd=0.25,
        duration_s=1.5,
        created_at=START,
        parent_id="parent",
        user="user_123456",
        session="s1",
        tags=["a", "b", "a"],
        metadata={"page": 3},
    )
    kept = client.get(data_id)
    assert kept is not None
    assert kept.inputs == {"question": "Who?"}
    assert kept.output == {"text": "You"}
    assert kept.messages == [{"role": "user", "content": "Who?"}]
    assert (kept.name, kept.version, kept.model, kept.provider) == (
        "answer",
        "v2",
        "small",
        "local",
    )
    assert kept.usage is not None
    assert (kept.usage.input_tokens, kept.usage.output_tokens) == (3, 5)
    assert (kept.cost_usd, kept.duration_ms, kept.created_at) == (0.25, 1500.0, START)
    assert (kept.parent_id, kept.user, kept.session) == ("parent", "user_123456", "s1")
    assert (kept.tags, kept.metadata, kept.status) == (["a", "b"], {"page": 3}, "ok")
    assert (kept.project, kept.error, kept.feedback) == ("main", None, [])


def test_an_outermost_generation_is_its_own_root(client: Client) -> None:
    kept = client.get(client.log(inputs="q"))
    assert kept is not None
    assert kept.root_id == kept.id
    assert kept.parent_id is None


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (ValueError("no"), ("ValueError", "no")),
        ("no", ("Error", "no")),
        ({"type": "Refusal", "message": "no"}, ("Refusal", "no")),
    ],
)
def test_an_error_makes_the_status_error(client: Client, error: Any, kept: tuple[str, str]) -> None:
    found = client.get(client.log(error=error))
    assert found is not None
    assert found.error is not None
    assert found.status == "error"
    assert (found.error.type, found.error.message) == kept


@pytest.mark.parametrize("data_id", ["unknown", new_id(), "", "no spaces", "x" * 600, "\0"])
def test_an_unknown_id_gives_none(client: Client, data_id: str) -> None:
    assert client.get(data_id) is None


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 500])
def test_pages_together_are_everything_once_newest_first(client: Client, limit: int) -> None:
    # Two share each moment, so that the page border falls between equals too.
    logged = [client.log(inputs=n, created_at=START + timedelta(seconds=n // 2)) for n in range(7)]
    newest_first = sorted(
        logged, key=lambda data_id: (logged.index(data_id) // 2, data_id), reverse=True
    )
    assert ids(read_all(client, limit)) == newest_first


def test_what_comes_between_two_pages_moves_nothing(client: Client) -> None:
    logged = [client.log(created_at=START + timedelta(seconds=n)) for n in range(4)]
    first = client.generations(limit=2)
    client.log(created_at=START + timedelta(seconds=60))
    second = client.generations(limit=2, after=first.next)
    assert ids([*first.items, *second.items]) == logged[::-1]
    assert second.next is None


@pytest.fixture
def library(client: Client) -> dict[str, str]:
    """Six generations that differ in every field one can filter by; their data IDs by name."""
    made: dict[str, str] = {}

    def log(called: str, **fields: Any) -> None:
        fields = {"created_at": START + timedelta(hours=len(made)), "name": "answer", **fields}
        made[called] = client.log(**fields)

    log("plain", inputs={"question": 'Say "hi" 50% of the time_s'}, output="hi")
    log("named", name="summarise", version="v2", model="small", user="ann", session="s1")
    log("failed", error=ValueError("over the moon"), user="bob")
    log("loved", output="naïve café \u2028", model="small")
    log("hated", messages=[{"content": "sixpence"}], session="s1")
    log("elsewhere", project="other", inputs="hi", user="ann")
    made["waiting"] = new_id()
    for rated, value in (("loved", "good"), ("hated", "bad"), ("waiting", "bad")):
        client.feedback(made[rated], "rating", value, user="ann")
    client.feedback(made["hated"], "issue", ["too_long", "irrelevant"], user="ann")
    client.feedback(made["named"], "rating", "bad", user="bob")
    client.feedback(made["named"], "rating", None, user="bob")
    return made


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "waiting elsewhere hated loved failed named plain"),
        ({"project": "main"}, "waiting hated loved failed named plain"),
        ({"project": "other"}, "elsewhere"),
        ({"project": "unheard-of"}, ""),
        ({"name": "summarise"}, "named"),
        ({"version": "v2"}, "named"),
        ({"model": "small"}, "loved named"),
        ({"status": "error"}, "failed"),
        ({"status": "waiting"}, "waiting"),
        ({"user": "ann"}, "elsewhere named"),
        ({"user": "ann", "project": "other"}, "elsewhere"),
        ({"session": "s1"}, "hated named"),
        ({"since": START + timedelta(hours=3), "status": "ok"}, "elsewhere hated loved"),
        ({"until": START + timedelta(hours=1)}, "plain"),
        ({"since": "2026-01-01T01:00:00", "until": "2026-01-01T03:00:00+00:00"}, "failed named"),
        ({"feedback": {"rating": "bad"}}, "waiting hated"),
        ({"feedback": {"rating": "good"}}, "loved"),
        ({"feedback": {"rating": True}}, "loved"),
        ({"feedback": {"rating": None}}, "waiting hated loved"),
        ({"feedback": {"issue": "too_long", "rating": "bad"}}, "hated"),
        ({"feedback": {"issue": "offensive"}}, ""),
        ({"feedback": {"vibe": "good"}}, ""),
        ({"sentiment": "negative"}, "waiting hated"),
        ({"sentiment": "positive"}, "loved"),
        ({"text": 'say "HI" 50%'}, "plain"),
        ({"text": "time_s"}, "plain"),
        ({"text": "50_"}, ""),
        ({"text": "café \u2028"}, "loved"),
        ({"text": "sixpence"}, "hated"),
        ({"text": "over the moon"}, "failed"),
        ({"text": ""}, "waiting elsewhere hated loved failed named plain"),
        ({"model": "small", "sentiment": "positive", "text": "na"}, "loved"),
        ({"user": "\ud800"}, ""),
        ({"text": "\ud800"}, ""),
    ],
)
@pytest.mark.parametrize("limit", [1, 50])
def test_a_filter_lets_through_what_fits_and_nothing_else(
    client: Client, library: dict[str, str], filters: dict[str, Any], expected: str, limit: int
) -> None:
    names = {data_id: name for name, data_id in library.items()}
    found = read_all(client, limit, **filters)
    assert [names[generation.id] for generation in found] == expected.split()
    for generation in found:
        assert generation == client.get(generation.id)


@pytest.mark.anyio
async def test_the_awaitable_twin_filters_alike(client: Client, library: dict[str, str]) -> None:
    page = await client.agenerations(feedback={"rating": "good"})
    assert ids(page.items) == [library["loved"]]


@pytest.mark.parametrize(
    ("field", "filters"),
    [
        ("limit", {"limit": 0}),
        ("limit", {"limit": 501}),
        ("limit", {"limit": "5"}),
        ("limit", {"limit": True}),
        ("after", {"after": "yesterday"}),
        ("after", {"after": "~x~p"}),
        ("after", {"after": "5~~p"}),
        ("after", {"after": "5~x"}),
        ("after", {"after": 5}),
        ("after", {"after": f"{'9' * 19}~x~p"}),
        ("status", {"status": "fine"}),
        ("sentiment", {"sentiment": "mixed"}),
        ("name", {"name": 5}),
        ("text", {"text": ["a"]}),
        ("since", {"since": "yesterday"}),
        ("until", {"until": 5}),
        ("feedback", {"feedback": "rating"}),
        ("feedback", {"feedback": {"issue": ["too_long", "irrelevant"]}}),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_with_its_name(
    client: Client, field: str, filters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.generations(**filters)
    assert caught.value.field == field


def test_a_number_is_found_however_it_is_written(client: Client) -> None:
    client.feedback_type("stars", "number", minimum=1, maximum=5)
    data_id = client.log(inputs="q")
    client.feedback(data_id, "stars", 4.0)
    assert ids(client.generations(feedback={"stars": 4}).items) == [data_id]
    assert ids(client.generations(feedback={"stars": 4.0}).items) == [data_id]
    assert client.generations(feedback={"stars": 5}).items == []


def test_erasing_a_user_takes_what_they_got_and_what_they_said_and_nothing_else(
    client: Client,
) -> None:
    theirs = client.log(inputs="their question", user="ann")
    client.feedback(theirs, "rating", "good", user="reviewer")
    client.alias("platform-1", theirs)
    rated = client.log(inputs="another question", user="bob")
    client.feedback(rated, "comment", "I am Ann", user="ann")
    client.feedback(rated, "rating", "good", user="bob")
    waiting = new_id()
    client.feedback(waiting, "comment", "Ann again", user="ann")
    awaited = new_id()
    client.feedback(awaited, "comment", "Ann too", user="ann")
    client.feedback(awaited, "comment", "Bob too", user="bob")
    odd = client.log(inputs="q", user="a\0b")

    assert client.erase("ann") > 0
    assert client.get(theirs) is None
    assert client.get("platform-1") is None
    assert client.get(waiting) is None
    for data_id in (rated, awaited):
        kept = client.get(data_id)
        assert kept is not None
        assert {one.user for one in kept.feedback_history} == {"bob"}
        assert {one.user for one in kept.feedback} == {"bob"}
    assert ids(client.generations(feedback={"comment": None}).items) == [awaited]
    assert client.erase("ann") == 0
    assert client.erase("a\0b") > 0
    assert client.get(odd) is None


def test_projects_are_those_with_records_and_the_client_s_own(client: Client) -> None:
    assert client.projects() == ["main"]
    client.log("zoo", inputs="q")
    client.feedback_type("stars", "number", project="art")
    assert client.flush(10)
    assert client.projects() == ["art", "main", "zoo"]


def test_a_declared_type_is_listed_and_replaces_a_default(client: Client) -> None:
    stars = client.feedback_type("stars", "number", minimum=1, maximum=5, signal="explicit")
    rating = client.feedback_type("rating", "select", {"good": "+", "bad": "-", "mixed": None})
    listed = {known.name: known for known in client.feedback_types()}
    assert list(listed) == ["rating", "action", "issue", "correction", "comment", "stars"]
    assert (listed["stars"], listed["rating"]) == (stars, rating)
    assert "stars" not in {known.name for known in client.feedback_types("other")}
    data_id = client.log(inputs="q")
    assert client.feedback(data_id, "rating", "mixed").sentiment is None
    assert client.feedback(data_id, "rating", "up").value == "good"
