"""Reading over HTTP: filters, pages, feedback types, erasure."""

from __future__ import annotations

import pytest
from api_calls import API, api, headers, post_feedback, post_generations, refusal
from starlette.testclient import TestClient

from afterword.client import Client


@pytest.fixture
def web(client: Client) -> TestClient:
    web = api(client)
    at = "2026-01-0{}T00:00:00Z"
    post_generations(
        web,
        {"id": "a", "project": "p", "name": "answer", "created_at": at.format(1), "output": "red"},
        {"id": "b", "project": "p", "model": "m", "created_at": at.format(2), "user": "ann"},
        {"id": "c", "project": "q", "version": "v", "created_at": at.format(3), "session": "s"},
        {"id": "d", "project": "q", "error": {"message": "no"}, "created_at": at.format(4)},
    )
    post_feedback(
        web,
        {"data_id": "a", "type": "rating", "value": "bad"},
        {"data_id": "b", "type": "rating", "value": "good"},
        {"data_id": "c", "type": "action", "value": "copied"},
        {"data_id": "c", "type": "correction", "value": "Better."},
    )
    return web


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "dcba"),
        ("project=p", "ba"),
        ("name=answer", "a"),
        ("version=v", "c"),
        ("model=m", "b"),
        ("status=error", "d"),
        ("user=ann", "b"),
        ("session=s", "c"),
        ("since=2026-01-03T00:00:00Z", "dc"),
        ("until=2026-01-02T00:00:00Z", "a"),
        ("feedback=rating", "ba"),
        ("feedback=rating:bad", "a"),
        ("feedback=action:copied&feedback=correction", "c"),
        ("sentiment=negative", "a"),
        ("signal=implicit", "c"),
        ("has_correction=true", "c"),
        ("text=red", "a"),
        ("limit=1", "d"),
    ],
)
def test_each_filter_finds_what_it_names(web: TestClient, query: str, found: str) -> None:
    items = web.get(f"{API}/generations?{query}").json()["items"]
    assert "".join(item["id"] for item in items) == found


def test_pages_follow_each_other_to_the_end(web: TestClient) -> None:
    seen, after = "", ""
    while after is not None:
        page = web.get(f"{API}/generations", params={"limit": 3, "after": after}).json()
        seen += "".join(item["id"] for item in page["items"])
        after = page["next"]
    assert seen == "dcba"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("after=x", "after"),
        ("status=fine", "status"),
        ("sentiment=glad", "sentiment"),
        ("signal=loud", "signal"),
        ("since=soon", "since"),
        ("has_correction=yes", "has_correction"),
        ("colour=red", "colour"),
        ("name=a&name=b", "name"),
        ("feedback=", "feedback"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(web: TestClient, query: str, field: str) -> None:
    assert refusal(web.get(f"{API}/generations?{query}")) == (422, [field])


def test_what_is_not_there_is_told_in_json(web: TestClient) -> None:
    assert refusal(web.get(f"{API}/generations/nothing"))[0] == 404
    assert refusal(web.get(f"{API}/nothing"))[0] == 404
    response = web.put(f"{API}/generations")
    assert refusal(response)[0] == 405
    assert set(response.headers["allow"].split(", ")) >= {"GET", "POST"}


def test_an_alias_leads_to_its_generation(client: Client, web: TestClient) -> None:
    client.alias("message 7", "a")
    assert web.get(f"{API}/generations/message%207").json()["id"] == "a"


def test_a_projects_feedback_types_are_listed_and_declared(client: Client) -> None:
    web = api(client)
    path = f"{API}/projects/support/bot/feedback-types"
    defaults = [kind["name"] for kind in web.get(path).json()["items"]]
    assert defaults == ["rating", "action", "issue", "correction", "comment"]
    stars = {"name": "stars", "cls": "number", "minimum": 1, "maximum": 5}
    mood = {"name": "mood", "cls": "select", "labels": [{"name": "glad", "sentiment": "positive"}]}
    answered = web.put(path, json={"feedback_types": [stars, mood]}).json()
    assert [kind["name"] for kind in answered["items"]] == [*defaults, "mood", "stars"]
    bad = {"feedback_types": [{**stars, "name": "more"}, {"name": "x", "cls": "colour"}]}
    assert refusal(web.put(path, json=bad)) == (422, ["feedback_types[1].cls"])
    assert len(web.get(path).json()["items"]) == 7


def test_a_user_is_erased_in_the_keys_project_only(client: Client) -> None:
    key = headers(client, "admin", project="p")
    other = headers(client, "ingest", "read", project="q")
    web = api(client)
    for sent in (key, other):
        post_generations(web, {"id": "a", "user": "ann/b"}, headers=sent)
    assert web.delete(f"{API}/users/ann%2Fb", headers=key).json() == {"erased": 1}
    assert web.get(f"{API}/generations/a", headers=key).status_code == 403
    assert web.get(f"{API}/generations/a", headers=other).status_code == 200


def test_metrics_and_health_are_at_the_root(web: TestClient) -> None:
    assert web.get("/healthz").json() == {"status": "ok"}
    response = web.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(
        line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#")
    )
    assert lines["afterword_api_accepted_total"] == "4"
    assert lines["afterword_records_dropped_total"] == "0"
