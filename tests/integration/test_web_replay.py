"""Replay: whoever holds a token can post without end, and changes no more than their own word."""

from __future__ import annotations

import json
import random
from typing import Any

import anyio
import pytest
from starlette.types import ASGIApp, Message

from afterword import Client
from afterword.asgi import Limits, feedback_app
from afterword.asgi.tokens import mint, random_subject
from afterword.feedback.current import KEPT_REVISIONS
from afterword.ids import new_id

pytestmark = pytest.mark.anyio

UNLIMITED = Limits(per_token=0, per_generation=0, per_address=0)


@pytest.fixture
def app(client: Client) -> ASGIApp:
    return feedback_app(client=client, limits=UNLIMITED)


def token_for(client: Client, *data_ids: str) -> str:
    now_s = client.desk._now() // 1_000_000
    return mint(
        client.keyring(), "web", data_ids, subject=random_subject(), bound=False, now_s=now_s
    )


async def post(app: ASGIApp, **body: Any) -> list[str]:
    """The IDs of the statements one post is answered with."""
    sent: list[Message] = []
    raw = json.dumps(body).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": raw}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("192.0.2.1", 1),
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 202, sent
    return [row["id"] for row in json.loads(sent[1]["body"])["feedback"]]


async def post_many(app: ASGIApp, bodies: list[dict[str, Any]]) -> set[str]:
    ids: set[str] = set()

    async def one(body: dict[str, Any]) -> None:
        ids.update(await post(app, **body))

    for start in range(0, len(bodies), 250):
        async with anyio.create_task_group() as group:
            for body in bodies[start : start + 250]:
                group.start_soon(one, body)
    return ids


def rows(client: Client, data_id: str) -> list[Any]:
    return client.store.history([data_id])


async def test_ten_thousand_replays_are_one_row(app: ASGIApp, client: Client) -> None:
    data_id = new_id()
    body = {"token": token_for(client, data_id), "type": "rating", "value": "bad", "comment": "no"}
    assert len(await post_many(app, [body] * 10_000)) == 1
    assert len(rows(client, data_id)) == 1
    found = client.get(data_id)
    assert found is not None
    assert [(said.value, said.comment) for said in found.feedback] == [("bad", "no")]


async def test_saying_it_again_is_the_same_row_for_every_class_and_for_a_retraction(
    app: ASGIApp, client: Client
) -> None:
    client.feedback_type("stars", "number", minimum=1, maximum=5)
    client.feedback_type("helpful", "boolean")
    for entry in (
        {"type": "rating", "value": "good"},
        {"type": "rating", "value": "good", "metadata": {"a": [1]}},
        {"type": "action", "value": ["copied", "saved"]},
        {"type": "correction", "value": "Better."},
        {"type": "stars", "value": 5},
        {"type": "helpful", "value": False},
        {"type": "rating", "value": None},
        {"type": "issue", "value": "too_long", "unset": True},
    ):
        data_id = new_id()
        body = {"token": token_for(client, data_id), **entry}
        answers = [await post(app, **body) for _ in range(5)]
        assert answers == [answers[0]] * 5
        assert len(rows(client, data_id)) == (2 if entry["value"] == ["copied", "saved"] else 1)


async def test_what_differs_in_any_way_is_a_statement_of_its_own(
    app: ASGIApp, client: Client
) -> None:
    data_id = new_id()
    token = token_for(client, data_id)
    entries: list[dict[str, Any]] = [
        {"value": "good"},
        {"value": "bad"},
        {"value": "bad", "comment": "a"},
        {"value": "bad", "comment": "b"},
        {"value": "bad", "comment": "b", "metadata": {"a": 1}},
        {"value": None},
        {"value": "bad", "comment": "b", "metadata": {"a": 1}},
    ]
    for entry in entries:
        await post(app, token=token, type="rating", **entry)
    assert len(rows(client, data_id)) == len(entries)


async def test_a_label_may_come_back_after_all_were_taken_back(
    app: ASGIApp, client: Client
) -> None:
    data_id = new_id()
    token = token_for(client, data_id)
    for value in ("copied", None, "copied", None, None, "copied"):
        await post(app, token=token, type="action", value=value)
    found = client.get(data_id)
    assert found is not None
    assert [said.value for said in found.feedback] == ["copied"]
    assert len(found.feedback_history) == 5


async def test_two_raters_who_say_the_same_are_two(app: ASGIApp, client: Client) -> None:
    data_id = new_id()
    for _ in range(2):
        await post(app, token=token_for(client, data_id), type="rating", value="good")
    assert len(rows(client, data_id)) == 2


async def test_of_a_rater_who_changes_their_mind_without_end_the_newest_are_kept(
    app: ASGIApp, client: Client
) -> None:
    data_id = new_id()
    token = token_for(client, data_id)
    words = [f"word {index}" for index in range(300)]
    for word in words:
        await post(app, token=token, type="correction", value=word)
    found = client.get(data_id)
    assert found is not None
    assert [said.value for said in found.feedback] == words[-1:]
    assert [said.value for said in found.feedback_history] == words[-KEPT_REVISIONS:]


async def test_replays_with_made_up_times_stay_bounded_too(app: ASGIApp, client: Client) -> None:
    data_id = new_id()
    token = token_for(client, data_id)
    random.seed(7)
    bodies = [
        {
            "token": token,
            "type": "rating",
            "value": random.choice(["good", "bad"]),
            "created_at": random.uniform(0, 4e9),
        }
        for _ in range(500)
    ]
    await post_many(app, bodies)
    assert len(rows(client, data_id)) <= KEPT_REVISIONS
    found = client.get(data_id)
    assert found is not None
    assert len(found.feedback) == 1


async def test_labels_have_a_history_of_their_own(app: ASGIApp, client: Client) -> None:
    data_id = new_id()
    token = token_for(client, data_id)
    await post(app, token=token, type="action", value="saved")
    for _ in range(60):
        await post(app, token=token, type="action", value="copied")
        await post(app, token=token, type="action", value="copied", unset=True)
    found = client.get(data_id)
    assert found is not None
    assert [said.value for said in found.feedback] == ["saved"]
    assert len(found.feedback_history) == KEPT_REVISIONS + 1


async def test_what_the_server_itself_records_is_never_dropped(
    app: ASGIApp, client: Client
) -> None:
    data_id = new_id()
    for index in range(30):
        client.feedback(data_id, "correction", f"version {index}", user="ada", source="reviewer")
        client.feedback(data_id, "rating", "good", user="ada")
    token = token_for(client, data_id)
    for index in range(30):
        await post(app, token=token, type="correction", value=str(index))
    kept = rows(client, data_id)
    assert len([row for row in kept if row.subject is None]) == 60
    assert len([row for row in kept if row.subject is not None]) == KEPT_REVISIONS


async def test_a_list_that_repeats_itself_is_one_row_for_each_thing_said(
    app: ASGIApp, client: Client
) -> None:
    data_id = new_id()
    entries = [{"type": "rating", "value": "good"}, {"type": "action", "value": "copied"}] * 10
    ids = await post(app, token=token_for(client, data_id), feedback=entries)
    assert len(ids) == 20
    assert len(set(ids)) == 2
    assert len(rows(client, data_id)) == 2
