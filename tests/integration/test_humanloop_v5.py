"""Humanloop's v5 API: bodies as its SDK sends them, and the unmodified SDK itself."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from afterword import Client
from afterword.server import create_app

sys.path.append(str(Path(__file__).parents[1] / "contract" / "providers"))
sys.path.append(str(Path(__file__).parent / "humanloop_sdk"))

from environments import HERE, python_with  # noqa: E402
from provider_server import ProviderServer  # noqa: E402
from serving import openai_like, served  # noqa: E402

KEY = "hl-of-the-caller-0123456789"


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Client]:
    client = Client(f"sqlite:///{tmp_path}/logs.db", "default")
    yield client
    client.close()


@pytest.fixture
def http(stored: Client) -> Iterator[TestClient]:
    with TestClient(create_app(stored), base_url="http://127.0.0.1") as client:
        yield client


def logged(http: TestClient, **fields: Any) -> dict[str, Any]:
    body = {"path": "demo/answers", "prompt": {"model": "gpt-4o"}, "output": "hello", **fields}
    answer = http.post("/v5/prompts/log", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def judged(http: TestClient, **fields: Any) -> Any:
    return http.post("/v5/evaluators/log", json=fields)


def test_a_prompt_s_log_is_a_generation_of_its_path_s_project(
    http: TestClient, stored: Client
) -> None:
    answer = http.post(
        "/v5/prompts/log?environment=production",
        json={
            "path": "demo/answers",
            "prompt": {"model": "gpt-4o", "provider": "openai", "temperature": 0.5},
            "inputs": {"q": 1},
            "messages": [{"role": "user", "content": "hi"}],
            "output_message": {"role": "assistant", "content": "hello"},
            "start_time": "2025-05-01T10:00:00Z",
            "end_time": "2025-05-01T10:00:02Z",
            "prompt_tokens": 3,
            "output_tokens": 4,
            "user": "u1",
            "provider_api_keys": {"openai": KEY},
            "something_new": True,
        },
    )
    assert answer.status_code == 200
    kept = stored.get(answer.json()["id"])
    assert kept is not None
    assert (kept.project, kept.name, kept.model) == ("demo/answers", "answers", "gpt-4o")
    assert kept.version == answer.json()["version_id"]
    assert kept.output == {"role": "assistant", "content": "hello"}
    assert (kept.created_at.isoformat(), kept.duration_ms) == ("2025-05-01T10:00:00+00:00", 2000)
    assert kept.user == "u1"
    assert KEY not in repr(kept)


def test_the_same_content_is_the_same_version_and_file(http: TestClient) -> None:
    first, second = logged(http), logged(http)
    assert first["id"] != second["id"]
    assert (first["prompt_id"], first["version_id"]) == (second["prompt_id"], second["version_id"])
    by_id = http.post("/v5/prompts/log", json={"id": first["prompt_id"], "output": "x"})
    assert by_id.json()["prompt_id"] == first["prompt_id"]
    other = logged(http, prompt={"model": "gpt-5"})
    assert other["version_id"] != first["version_id"]


def test_a_judgment_is_feedback_and_null_takes_it_back(http: TestClient, stored: Client) -> None:
    data_id = logged(http)["id"]
    answer = judged(http, path="rating", parent_id=data_id, user="u1", judgment="good")
    assert answer.status_code == 200
    assert answer.json()["parent_id"] == data_id
    judged(http, path="any/where/rating", parent_id=data_id, user="u1", judgment="bad")
    found = stored.get(data_id)
    assert found is not None
    assert [(said.type, said.value, said.user) for said in found.feedback] == [
        ("rating", "bad", "u1")
    ]
    assert judged(http, path="rating", parent_id=data_id, user="u1", judgment=None).is_success
    found = stored.get(data_id)
    assert found is not None
    assert found.feedback == []


def test_a_list_of_labels_replaces_the_one_before(http: TestClient, stored: Client) -> None:
    data_id = logged(http)["id"]
    options = [{"name": name, "valence": "neutral"} for name in ("a", "b", "c")]
    spec = {"evaluator_type": "human", "arguments_type": "target_free"}
    spec |= {"return_type": "multi_select", "options": options}  # type: ignore[dict-item]
    answer = http.post("/v5/evaluators", json={"path": "tags", "spec": spec})
    assert answer.status_code == 200
    evaluator = answer.json()["id"]
    assert judged(http, id=evaluator, parent_id=data_id, judgment=["a", "b"]).is_success
    assert judged(http, id=evaluator, parent_id=data_id, judgment=["b", "c"]).is_success
    found = stored.get(data_id)
    assert found is not None
    assert sorted(str(said.value) for said in found.feedback) == ["b", "c"]


def test_what_does_not_fit_is_answered_with_the_field(http: TestClient) -> None:
    data_id = logged(http)["id"]
    for fields, field in (
        ({"path": "rating", "judgment": "good"}, "parent_id"),
        ({"path": "rating", "parent_id": data_id}, "judgment"),
        ({"parent_id": data_id, "judgment": "good"}, "path"),
        ({"path": "nosuch", "parent_id": data_id, "judgment": "x"}, "path"),
        ({"path": "rating", "parent_id": data_id, "judgment": "awful"}, "value"),
    ):
        answer = judged(http, **fields)
        assert answer.status_code == 422, fields
        assert field in str(answer.json()["detail"]), fields
    assert http.get("/v5/logs/nosuch").status_code == 404
    assert http.get("/v5/logs?file_id=nosuch").status_code == 404
    assert http.post("/v5/prompts/log", json={"output": "x"}).status_code == 422
    assert http.post("/v5/prompts/log", content=b"{").status_code == 400
    assert http.get("/v5/datasets").status_code == 404


def test_a_flow_is_open_until_it_is_completed(http: TestClient, stored: Client) -> None:
    body = {"path": "demo/f", "flow": {"attributes": {"a": 1}}, "inputs": {"q": "x"}}
    data_id = http.post("/v5/flows/log", json={**body, "log_status": "incomplete"}).json()["id"]
    found = stored.get(data_id)
    assert found is not None
    assert found.status == "running"
    answer = http.patch(
        f"/v5/flows/logs/{data_id}", json={"output": "done", "log_status": "complete"}
    )
    assert (answer.json()["output"], answer.json()["log_status"]) == ("done", "complete")
    found = stored.get(data_id)
    assert found is not None
    assert (found.status, found.inputs, found.output) == ("ok", {"q": "x"}, "done")


def test_pages_of_logs_end_with_an_empty_one(http: TestClient) -> None:
    file_id = [logged(http, output=f"text {number}") for number in range(7)][0]["prompt_id"]
    pages = [
        http.get("/v5/logs", params={"file_id": file_id, "page": page, "size": 3}).json()
        for page in (1, 2, 3, 4)
    ]
    assert [len(page["records"]) for page in pages] == [3, 3, 1, 0]
    assert {page["total"] for page in pages} == {7}
    found = http.get("/v5/logs", params={"file_id": file_id, "search": "text 3"}).json()
    assert [record["output"] for record in found["records"]] == ["text 3"]


def test_a_deleted_log_is_gone_from_reading(http: TestClient) -> None:
    found = logged(http)
    assert http.delete("/v5/logs", params={"id": found["id"]}).status_code == 204
    assert http.get(f"/v5/logs/{found['id']}").status_code == 404
    listed = http.get("/v5/logs", params={"file_id": found["prompt_id"]}).json()
    assert listed["records"] == []


def test_a_decorator_s_span_is_a_generation(http: TestClient, stored: Client) -> None:
    def attribute(key: str, value: str) -> dict[str, Any]:
        return {"key": key, "value": {"stringValue": value}}

    span = {
        "traceId": base64.b64encode(b"t" * 16).decode(),
        "spanId": base64.b64encode(b"s" * 8).decode(),
        "name": "humanloop.tool",
        "kind": "SPAN_KIND_INTERNAL",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000250000000",
        "attributes": [
            attribute("humanloop.file.path", "demo/adding"),
            attribute("humanloop.file.type", "tool"),
            attribute("humanloop.file.function.name", "add"),
            attribute("humanloop.log.inputs.a", "1"),
            attribute("humanloop.log.messages.0.role", "user"),
            attribute("humanloop.log.messages.1.role", "assistant"),
            attribute("humanloop.log.output", "3"),
        ],
    }
    scope = {"scope": {"name": "humanloop.sdk.decorator"}, "spans": [span]}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [scope]}]})
    answer = http.post("/v5/import/otel/v1/traces", content=body)
    assert answer.status_code == 200
    (data_id,) = answer.json()["records"]
    found = stored.get(data_id)
    assert found is not None
    assert (found.project, found.inputs, found.output) == ("demo/adding", {"a": "1"}, "3")
    assert found.messages == [{"role": "user"}, {"role": "assistant"}]
    assert found.duration_ms == 250
    assert (
        http.post("/v5/import/otel/v1/traces", content=b'{"resourceSpans": 1}').status_code == 422
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_sdk_of_0_8_38_logs_judges_calls_and_decorates(
    stored: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This version of the SDK imports requests and does not ask for it.
    python = python_with("humanloop==0.8.38", "requests")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    provider = ProviderServer()
    try:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.scene(openai_like).base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-server")
        with served(create_app(stored)) as base_url:
            done = subprocess.run(
                [python, HERE / "guide_v5.py", f"{base_url}/v5", KEY],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                env=clean,
            )
    finally:
        provider.stop()
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    kind, data_id, _, version = seen["log"]
    assert kind == "CreatePromptLogResponse"
    assert seen["flow"][1:] == ["incomplete", "done", "complete", "demo/by-hand"]
    assert seen["judged"] == ["CreateEvaluatorLogResponse", data_id]
    rated = {(path, str(judgment), user) for path, judgment, user in seen["before"]}
    assert {
        ("rating", "good", None),
        ("rating", "bad", "u1"),
        ("correction", "better", "u1"),
    } <= rated
    assert {judgment for path, judgment, _ in rated if path == "mood"} == {"happy", "calm"}
    assert ["rating", "bad", "u1"] not in seen["after"]
    assert ["rating", "good", None] in seen["after"]
    assert seen["listed"] == [data_id]
    assert seen["called"][0] == "PromptCallResponse"
    assert seen["called"][2:] == ["So.", "demo/called"]
    assert "".join(piece for _, piece in seen["streamed"]) == "So.\u2028"
    assert [status for status, _ in seen["refused"]] == [422, 422]
    assert seen["deleted"] == 404
    kept = stored.get(data_id)
    assert kept is not None
    assert kept.version == version
    called = stored.get(seen["called"][1])
    assert called is not None
    assert (called.output, called.project) == ("So. ", "demo/called")
    (agent,) = stored.generations("demo/agent").items
    (adding,) = stored.generations("demo/adding").items
    assert (agent.status, agent.inputs, agent.output) == ("ok", {"question": "What?"}, "What? 3")
    assert adding.parent_id == agent.id
    stored.feedback(data_id=agent.id, type="rating", value="good")
