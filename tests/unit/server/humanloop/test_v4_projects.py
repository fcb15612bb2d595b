"""Projects, feedback types, configs and sessions of Humanloop's API."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from afterword.client import Client

CONFIG = {"model": "gpt-4o", "prompt_template": "Q {{question}}", "temperature": 0.5}


def made(v4: TestClient, name: str = "demo") -> Any:
    answer = v4.post("projects", json={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_project_is_made_read_renamed_and_deleted(v4: TestClient, store_client: Client) -> None:
    project = made(v4)
    path = f"projects/{project['id']}"
    assert v4.get(path).json()["name"] == "demo"
    assert v4.post("projects", json={"name": "demo"}).status_code == 409
    assert v4.patch(path, json={"name": "Our bot!"}).json()["name"] == "Our bot!"
    logged = v4.post("logs", json={"project": "Our bot!", "output": "x"}).json()
    assert logged["project_id"] == project["id"]
    generation = store_client.get(logged["id"])
    assert generation is not None
    assert generation.project == "demo"
    assert v4.get(path).json()["data_count"] == 1
    assert v4.delete(path).status_code == 204
    assert v4.get(path).status_code == 404
    assert "Our bot!" not in v4.get("projects").text


def test_projects_are_listed_filtered_and_sorted(v4: TestClient) -> None:
    for name in ("pear", "apple", "plum"):
        made(v4, name)
    listed = v4.get("projects", params={"filter": "p", "sort_by": "name", "order": "desc"}).json()
    assert [found["name"] for found in listed["records"]] == ["plum", "pear", "apple"]
    page = v4.get("projects", params={"page": 1, "size": 3, "sort_by": "name"}).json()
    assert ([found["name"] for found in page["records"]], page["total"]) == (["plum"], 4)
    assert v4.get("projects", params={"sort_by": "size"}).status_code == 422


def test_a_name_that_cannot_be_is_refused(v4: TestClient) -> None:
    for body in ({}, {"name": 7}, {"name": ""}, {"name": "\0"}, {"name": "x" * 200}):
        assert v4.post("projects", json=body).status_code == 422


def test_feedback_types_are_added_and_widened(v4: TestClient) -> None:
    project = made(v4)
    path = f"projects/{project['id']}/feedback-types"
    happy, sad = (
        {"value": "happy", "sentiment": "positive"},
        {"value": "sad", "sentiment": "negative"},
    )
    first = v4.post(path, json={"type": "mood", "class": "select", "values": [happy]})
    assert (first.status_code, first.json()["values"]) == (201, [happy])
    changed = v4.patch(path, json=[{"type": "mood", "class_": "select", "values": [sad]}]).json()
    assert next(found for found in changed if found["type"] == "mood")["values"] == [happy, sad]
    assert v4.patch(path).status_code == 200
    for body in ({"type": "x"}, {"class": "text"}, {"type": "x", "class": "shape"},
                 {"type": "x", "class": "select"}, {"type": "x", "class": "select", "values": [1]}):  # fmt: skip
        assert v4.post(path, json=body).status_code == 422
    body = {"project": "demo", "output": "x", "feedback": {"type": "mood", "value": "sad"}}
    assert v4.post("logs", json=body).status_code == 200


def test_configs_are_registered_listed_and_deployed(v4: TestClient) -> None:
    first = v4.post("model-configs", json={"project": "demo", **CONFIG, "name": "main"}).json()
    again = v4.post("model-configs", json={"project": "demo", **CONFIG}).json()
    assert again["config"]["id"] == first["config"]["id"]
    second = v4.post("model-configs", json={"project": "demo", **CONFIG, "model": "gpt-4"}).json()
    path = f"projects/{first['project_id']}"
    listed = v4.get(f"{path}/configs").json()
    assert {found["config"]["id"] for found in listed} == {
        first["config"]["id"], second["config"]["id"],
    }  # fmt: skip
    assert v4.get(f"{path}/active-config").json()["config"]["name"] == "main"
    body = {"config_id": second["config"]["id"], "environments": [{"id": "staging"}]}
    deployed = v4.patch(f"{path}/deploy-config", json=body).json()
    assert {found["environment_id"] for found in deployed} == {"production", "staging"}
    v4.patch(path, json={"active_config_id": second["config"]["id"]})
    assert v4.get(path).json()["active_config"]["config"]["model"] == "gpt-4"
    assert v4.delete(f"{path}/active-config").json()["active_config"] is None
    assert v4.get(f"{path}/active-config").status_code == 404
    staging = v4.get(f"{path}/active-config", params={"environment": "staging"})
    assert staging.json()["config"]["model"] == "gpt-4"
    assert len(v4.get(f"{path}/deployed-configs").json()) == 1
    assert v4.get(f"model-configs/{second['config']['id']}").json()["model"] == "gpt-4"


def test_what_cannot_be_deployed_is_refused(v4: TestClient) -> None:
    project = made(v4)
    path = f"projects/{project['id']}"
    assert v4.patch(f"{path}/deploy-config", json={"config_id": "config_0"}).status_code == 404
    assert v4.patch(f"{path}/deploy-config", json={}).status_code == 422
    assert v4.patch(path, json={"active_config_id": "config_0"}).status_code == 404
    deployed = v4.post("completion-deployed", json={"project": "demo"})
    assert deployed.status_code == 404
    assert "afterword prompts deploy" in deployed.json()["detail"]
    body = {"project": "demo", "model_config_id": "config_0"}
    assert v4.post("completion-model-config", json=body).status_code == 404


def test_sessions_tell_what_was_said_in_them(v4: TestClient) -> None:
    created = v4.post("sessions")
    assert created.status_code == 201
    session_id = created.json()["id"]
    for output in ("first", "last"):
        body = {
            "project": "demo",
            "inputs": {"n": output},
            "output": output,
            "session_id": session_id,
        }
        logged = v4.post("logs", json=body).json()
    found = v4.get(f"sessions/{session_id}").json()
    assert (found["first_inputs"], found["last_output"]) == ({"n": "first"}, "last")
    assert found["datapoints_count"] == 2
    by_reference = {"project": "demo", "output": "x", "session_reference_id": "chat-7"}
    sessions = {v4.post("logs", json=by_reference).json()["session_id"] for _ in range(2)}
    assert len(sessions) == 1
    listed = v4.get("sessions", params={"project_id": logged["project_id"]}).json()
    assert (listed["page"], listed["total"]) == (1, 2)
    assert {found["reference_id"] for found in listed["records"]} == {None, "chat-7"}
    assert v4.get("sessions/nobody").status_code == 404
    assert v4.get("sessions").status_code == 422
