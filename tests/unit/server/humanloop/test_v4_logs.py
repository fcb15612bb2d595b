"""``/logs``: made by hand, listed, completed later, deleted, exported."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.server.keys import create_key


def log(v4: TestClient, status: int = 200, **fields: Any) -> Any:
    answer = v4.post("logs", json={"project": "demo", "inputs": {"question": "x"}, **fields})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_log_keeps_what_it_was_given(v4: TestClient, store_client: Client) -> None:
    made = log(
        v4, output="ans", reference_id="ref1", source="sdk", duration=1.5, prompt_tokens=3,
        output_tokens=4, prompt_cost=0.25, output_cost=0.5, metadata={"team": "a"}, stdout="out",
        config={"type": "model", "model": "gpt-4o", "temperature": 0.1}, session_reference_id="s",
        created_at="2024-01-02T03:04:05", feedback=[{"type": "rating", "value": "bad", "user": "u"}],
        environment="production", user="u", provider_api_keys={"openai": "sk-caller"},
    )  # fmt: skip
    found = v4.get(f"logs/{made['id']}").json()
    assert {name: found[name] for name in ("output", "reference_id", "source", "duration", "stdout")} == {
        "output": "ans", "reference_id": "ref1", "source": "sdk", "duration": 1.5, "stdout": "out",
    }  # fmt: skip
    assert (found["prompt_tokens"], found["tokens"], found["prompt_cost"]) == (3, 7, 0.25)
    assert found["metadata"] == {"team": "a"}
    assert found["created_at"] == "2024-01-02T03:04:05+00:00"
    assert found["config"]["model"] == "gpt-4o"
    assert found["config"]["temperature"] == 0.1
    assert found["config_id"] == found["config"]["id"]
    assert found["session_id"] == made["session_id"]
    assert found["feedback"][0]["value"] == "bad"
    assert found["observability_status"] == "completed"
    generation = store_client.get(made["id"])
    assert generation is not None
    assert generation.cost_usd == 0.75
    assert "sk-caller" not in str(generation)


def test_a_list_of_logs_is_all_or_nothing(v4: TestClient, store_client: Client) -> None:
    good = {"project": "demo", "output": "a"}
    bad = {**good, "feedback": {"type": "rating", "value": "splendid"}}
    answer = v4.post("logs", json=[good, bad])
    assert answer.status_code == 422
    assert store_client.generations("demo").items == []
    assert len(v4.post("logs", json=[good, good]).json()) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_at", "soon"), ("duration", "long"), ("metadata", []), ("config", 7), ("error", 7),
        ("prompt_tokens", 1.5), ("prompt_cost", "much"), ("session_id", "two words"),
        ("reference_id", ""), ("feedback", "good"), ("user", 7),
    ],
)  # fmt: skip
def test_a_field_of_a_log_that_is_not_usable_is_refused(
    v4: TestClient, field: str, value: Any
) -> None:
    assert log(v4, 422, **{field: value})["detail"]


def test_an_unknown_config_is_answered_404(v4: TestClient) -> None:
    assert "config_0" in log(v4, 404, config_id="config_0")["detail"]


def test_a_log_without_output_is_completed_later(v4: TestClient, store_client: Client) -> None:
    made = log(v4, reference_id="ref1", created_at="2024-01-02T03:04:05")
    assert v4.get(f"logs/{made['id']}").json()["observability_status"] == "running"
    answer = v4.patch("logs", params={"reference_id": "ref1"}, json={"output": "so", "duration": 2})
    assert (answer.json()["output"], answer.json()["duration"]) == ("so", 2)
    assert answer.json()["observability_status"] == "completed"
    generation = store_client.get(made["id"])
    assert generation is not None
    assert (generation.status, generation.inputs) == ("ok", {"question": "x"})
    assert generation.created_at.isoformat() == "2024-01-02T03:04:05+00:00"


def test_a_finished_log_can_still_be_changed(v4: TestClient) -> None:
    made = log(v4, output="first", duration=1)
    for output in ("second", "third"):
        changed = v4.patch(
            f"logs/{made['id']}", json={"output": output, "duration": 2.5, "error": "late"}
        ).json()
        assert (changed["output"], changed["duration"], changed["error"]) == (output, 2.5, "late")
    again = v4.patch(f"logs/{made['id']}", json={"error": "later"}).json()
    assert (again["output"], again["duration"], again["error"]) == ("third", 2.5, "later")


def test_pages_are_numbered_and_end(v4: TestClient) -> None:
    made = v4.post("logs", json=[{"project": "demo", "output": str(n)} for n in range(7)]).json()
    project_id = made[0]["project_id"]
    seen: list[str] = []
    for page in range(4):
        answer = v4.get("logs", params={"project_id": project_id, "page": page, "size": 3}).json()
        assert (answer["page"], answer["size"], answer["total"]) == (page, 3, 7)
        seen += [record["id"] for record in answer["records"]]
    assert sorted(seen) == sorted(found["id"] for found in made)
    exported = v4.post(f"projects/{project_id}/export", params={"page": 1, "size": 5}).json()
    assert [record["id"] for record in exported["records"]] == seen[5:]


def test_lists_are_narrowed_by_text_metadata_and_time(v4: TestClient) -> None:
    first = log(v4, output="apple", metadata={"team": "red"}, created_at="2024-01-02T00:00:00")
    second = log(v4, output="pear", metadata={"team": "blue"}, created_at="2024-03-02T00:00:00")

    def ids(**query: str) -> list[str]:
        answer = v4.get("logs", params={"project_id": first["project_id"], **query})
        return [record["id"] for record in answer.json()["records"]]

    assert ids(search="apple") == [first["id"]]
    assert ids(metadata_search="blue") == [second["id"]]
    assert ids(start_date="2024-02-01") == [second["id"]]
    assert ids(end_date="2024-02-01T00:00:00+00:00") == [first["id"]]
    for query in ({"start_date": "soon"}, {"page": "-1"}, {"size": "0"}, {"project_id": ""}):
        params = {"project_id": first["project_id"], **query}
        assert v4.get("logs", params=params).status_code in (404, 422)
    assert v4.get("logs").status_code == 422


def test_deleted_logs_are_gone_from_the_api(v4: TestClient) -> None:
    first, second = log(v4, output="a"), log(v4, output="b")
    assert v4.delete("logs", params={"id": [first["id"], "nobody"]}).status_code == 404
    gone = v4.delete("logs", params={"id": [first["id"]]})
    assert (gone.status_code, gone.content) == (204, b"")
    assert v4.get(f"logs/{first['id']}").status_code == 404
    assert v4.patch(f"logs/{first['id']}", json={"output": "x"}).status_code == 404
    listed = v4.get("logs", params={"project_id": first["project_id"]}).json()
    assert [record["id"] for record in listed["records"]] == [second["id"]]


def test_a_key_of_another_project_reads_nothing(v4: TestClient, store_client: Client) -> None:
    key, _ = create_key(store_client.store, project="other", scopes=("admin",))
    own, _ = create_key(store_client.store, project="demo", scopes=("ingest",))
    body = {"output": "a", "reference_id": "ref1"}
    made = v4.post("logs", json=body, headers={"X-API-KEY": own}).json()
    headers = {"X-API-KEY": key}
    assert v4.get(f"logs/{made['id']}", headers=headers).status_code == 403
    listed = v4.get("logs", params={"project_id": made["project_id"]}, headers=headers)
    assert listed.status_code == 403
    changed = v4.patch("logs", params={"reference_id": "ref1"}, json={}, headers=headers)
    assert changed.status_code == 404
    assert v4.post("logs", json={"project": "demo"}, headers=headers).status_code == 403
    assert [found["name"] for found in v4.get("projects", headers=headers).json()["records"]] in (
        [],
        ["other"],
    )
    mine = v4.post("logs", json={"output": "x"}, headers=headers).json()
    generation = store_client.get(mine["id"])
    assert generation is not None
    assert generation.project == "other"
    body = {"output": "a", "feedback": {"type": "rating", "value": "good"}}
    assert v4.post("logs", json=body, headers={"X-API-KEY": own}).status_code == 403
