"""`POST /api/v1/feedback`: all of a batch or nothing, for one's own project only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from api_calls import API, api, headers, post_feedback, post_generations, refusal

from afterword.client import Client
from afterword.ids import new_id
from afterword.stores import sqlite_files

BAD = {"data_id": "a", "type": "rating", "value": "bad"}


def test_feedback_is_answered_in_order_as_it_is_kept(client: Client) -> None:
    web = api(client)
    post_generations(web, {"id": "a"})
    more = {"data_id": "a", "type": "action", "value": ["copied", "saved"], "user": "ann"}
    kept = post_feedback(web, {**BAD, "comment": "vague"}, more).json()["feedback"]
    assert [(said["type"], said["value"], said["source"]) for said in kept] == [
        ("rating", "bad", "code"),
        ("action", ["copied", "saved"], "end_user"),
    ]
    read = web.get(f"{API}/generations/a").json()
    assert [said["value"] for said in read["feedback"]] == ["bad", "copied", "saved"]
    assert read["feedback"][0]["comment"] == "vague"
    assert post_feedback(web, {**BAD, "value": None}).is_success
    read = web.get(f"{API}/generations/a").json()
    assert [said["value"] for said in read["feedback"]] == ["copied", "saved"]
    assert len(read["feedback_history"]) == 4


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"data_id": "a", "type": "rating", "value": "great"}, "value"),
        ({"data_id": "a", "type": "mood", "value": "glad"}, "type"),
        ({"data_id": "a", "value": "bad"}, "type"),
        ({"type": "rating", "value": "bad"}, "data_id"),
        ({**BAD, "data_id": "not an id"}, "data_id"),
        ({**BAD, "source": "nobody"}, "source"),
        ({**BAD, "created_at": "soon"}, "created_at"),
        ({**BAD, "colour": "red"}, "colour"),
        ({**BAD, "metadata": [1]}, "metadata"),
    ],
)
def test_one_bad_entry_is_named_and_nothing_is_kept(
    client: Client, entry: dict[str, Any], field: str
) -> None:
    web = api(client)
    assert refusal(post_feedback(web, BAD, entry)) == (422, [f"feedback[1].{field}"])
    assert web.get(f"{API}/generations/a").status_code == 404


def test_a_list_of_nothing_is_nothing(client: Client) -> None:
    assert post_feedback(api(client)).json() == {"feedback": []}


def test_a_batch_has_at_most_1000_entries(client: Client) -> None:
    assert refusal(post_feedback(api(client), *[BAD] * 1_001)) == (422, ["feedback"])


def test_another_projects_generation_gets_no_feedback(client: Client) -> None:
    ours, theirs = new_id(), new_id()
    key = headers(client, "ingest", "feedback", "read", project="bot")
    other = headers(client, "ingest", "read", project="other")
    web = api(client)
    for data_id in (theirs, "shared", "theirs"):
        post_generations(web, {"id": data_id}, headers=other)
    post_generations(web, {"id": ours}, {"id": "shared"}, headers=key)
    for data_id in (theirs, "theirs"):
        response = post_feedback(web, {**BAD, "data_id": data_id}, headers=key)
        assert refusal(response)[0] == 403
    for data_id in (ours, "shared", "unknown"):
        kept = post_feedback(web, {**BAD, "data_id": data_id}, headers=key).json()["feedback"]
        assert kept[0]["project"] == "bot"
    for data_id in (theirs, "shared", "theirs"):
        assert web.get(f"{API}/generations/{data_id}", headers=other).json()["feedback"] == []


def test_an_alias_of_another_project_stands_for_nothing_here(client: Client) -> None:
    post_generations(api(client), {"id": "theirs", "project": "other"})
    client.store.put_alias("other", "message 7", "theirs")
    key = headers(client, "feedback", project="bot")
    response = post_feedback(api(client), {**BAD, "data_id": "message 7"}, headers=key)
    assert refusal(response) == (422, ["feedback[0].data_id"])


def test_feedback_by_a_key_stays_in_its_project_when_another_logs_that_id(client: Client) -> None:
    key = headers(client, "feedback", "read", project="bot")
    other = headers(client, "ingest", "read", project="other")
    web = api(client)
    assert post_feedback(web, BAD, headers=key).is_success
    assert post_generations(web, {"id": "a"}, headers=other).is_success
    assert web.get(f"{API}/generations/a", headers=other).json()["feedback"] == []
    assert len(web.get(f"{API}/generations/a", headers=key).json()["feedback"]) == 1


def test_while_the_store_is_locked_nothing_is_acknowledged_and_nothing_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_files, "BUSY_TIMEOUT_S", 0.2)
    client = Client(f"sqlite:///{tmp_path}/a.db")
    web = api(client)
    assert post_feedback(web, BAD).is_success
    holder = apsw.Connection(f"{tmp_path}/a.db")
    holder.execute("BEGIN EXCLUSIVE")
    for response in (
        post_feedback(web, {**BAD, "data_id": "later"}),
        post_generations(web, {"id": "g"}),
    ):
        assert refusal(response) == (503, [])
        assert response.headers["retry-after"] == "2"
    holder.execute("ROLLBACK")
    holder.close()
    assert client.get("later") is None
    assert client.get("g") is None
    assert client.status().spooled == 0
    assert post_feedback(web, {**BAD, "data_id": "later"}).is_success
    client.close()
