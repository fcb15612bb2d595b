"""``/feedback``: what stands, what replaces, what is refused, and how each is answered."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.server.keys import create_key


def send(v4: TestClient, body: Any, status: int = 200) -> Any:
    answer = v4.post("feedback", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def current(client: Client, data_id: str) -> list[tuple[str, Any, str | None]]:
    generation = client.get(data_id)
    assert generation is not None
    return [(found.type, found.value, found.user) for found in generation.feedback]


@pytest.fixture
def data_id(store_client: Client) -> str:
    return store_client.log(inputs={"question": "How?"}, output="So.")


def test_a_second_rating_of_a_user_replaces_the_first(
    v4: TestClient, store_client: Client, data_id: str
) -> None:
    for value in ("good", "bad"):
        send(v4, {"data_id": data_id, "type": "rating", "value": value, "user": "u1"})
    send(v4, {"data_id": data_id, "type": "rating", "value": "good", "user": "u2"})
    assert current(store_client, data_id) == [("rating", "bad", "u1"), ("rating", "good", "u2")]


def test_labels_of_a_type_that_holds_several_stand_side_by_side(
    v4: TestClient, store_client: Client, data_id: str
) -> None:
    send(v4, {"data_id": data_id, "type": "action", "value": "copied"})
    send(v4, {"data_id": data_id, "type": "action", "value": ["saved", "shared"]})
    send(v4, {"data_id": data_id, "type": "action", "value": "copied", "unset": True})
    assert {value for _, value, _ in current(store_client, data_id)} == {"saved", "shared"}


def test_taking_back_is_answered_with_an_empty_value(
    v4: TestClient, store_client: Client, data_id: str
) -> None:
    send(v4, {"data_id": data_id, "type": "rating", "value": "good"})
    answer = send(v4, {"data_id": data_id, "type": "rating", "unset": True})
    assert answer["value"] == ""
    assert current(store_client, data_id) == []


def test_taking_back_a_label_needs_the_label(v4: TestClient, data_id: str) -> None:
    answer = send(v4, {"data_id": data_id, "type": "action", "unset": True}, 422)
    assert answer["detail"][0]["loc"] == ["body", 0, "value"]


def test_a_list_is_answered_in_order_and_a_list_of_one_with_a_list(
    v4: TestClient, data_id: str
) -> None:
    first = {"data_id": data_id, "type": "rating", "value": "bad"}
    second = {"data_id": data_id, "type": "correction", "value": "Better."}
    assert [found["value"] for found in send(v4, [first, second])] == ["bad", "Better."]
    assert len(send(v4, [first])) == 1
    assert send(v4, []) == []


def test_one_bad_entry_keeps_the_whole_list_out(
    v4: TestClient, store_client: Client, data_id: str
) -> None:
    good = {"data_id": data_id, "type": "rating", "value": "good"}
    answer = send(v4, [good, {**good, "value": "splendid"}], 422)
    assert answer["detail"][0]["loc"] == ["body", 1, "value"]
    assert "good, bad" in answer["detail"][0]["msg"]
    assert current(store_client, data_id) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "rating", "value": "good"}, "data_id"),
        ({"data_id": "x", "value": "good"}, "type"),
        ({"data_id": "x", "type": "rating"}, "value"),
        ({"data_id": "x", "type": "mood", "value": "happy"}, "type"),
        ({"data_id": "x", "type": "rating", "value": "good", "created_at": "soon"}, "created_at"),
        ({"data_id": "two words", "type": "rating", "value": "good"}, "data_id"),
        ({"data_id": "x", "type": "rating", "value": "good", "unset": "yes"}, "unset"),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    v4: TestClient, body: dict[str, Any], field: str
) -> None:
    assert field in send(v4, body, 422)["detail"][0]["loc"]


def test_fields_nobody_knows_are_ignored_and_keys_are_not_kept(
    v4: TestClient, store_client: Client, data_id: str
) -> None:
    body = {"data_id": data_id, "type": "rating", "value": "good", "source": "web"}
    send(v4, {**body, "shoe_size": 43, "provider_api_keys": {"openai": "sk-caller"}})
    generation = store_client.get(data_id)
    assert generation is not None
    assert generation.feedback[0].metadata == {"source": "web"}


def test_a_time_is_kept_and_a_naive_one_taken_as_utc(v4: TestClient, data_id: str) -> None:
    body = {"data_id": data_id, "type": "rating", "value": "good"}
    answer = send(v4, {**body, "created_at": "2024-01-02T03:04:05"})
    assert answer["created_at"] == "2024-01-02T03:04:05+00:00"


def test_feedback_on_an_unknown_log_waits(v4: TestClient, store_client: Client) -> None:
    send(v4, {"data_id": "data_later", "type": "rating", "value": "good"})
    store_client.log(output="So.", data_id="data_later")
    assert current(store_client, "data_later") == [("rating", "good", None)]


def test_a_project_may_require_known_logs(v4: TestClient, data_id: str) -> None:
    project = v4.get("projects").json()["records"][0]
    v4.patch(f"projects/{project['id']}", json={"require_known": True})
    body = {"data_id": "data_later", "type": "rating", "value": "good"}
    assert "data_later" in send(v4, body, 404)["detail"]
    send(v4, {**body, "data_id": data_id})


def test_a_project_may_accept_new_types(v4: TestClient, store_client: Client, data_id: str) -> None:
    project = v4.get("projects").json()["records"][0]
    v4.patch(f"projects/{project['id']}", json={"accept_new_types": True})
    for value in (True, 4.5, "long text", ["a", "b"]):
        name = f"new {type(value).__name__}"
        send(v4, {"data_id": data_id, "type": name, "value": value})
    declared = {found.name: found.cls for found in store_client.feedback_types()}
    assert declared["new bool"] == "boolean"
    assert declared["new float"] == "number"
    assert declared["new str"] == "text"
    assert declared["new list"] == "multi_select"


def test_a_key_reaches_only_the_logs_of_its_project(
    v4: TestClient, store_client: Client, data_id: str
) -> None:
    key, _ = create_key(store_client.store, project="other", scopes=("feedback",))
    store_client.flush()
    body = {"data_id": data_id, "type": "rating", "value": "good"}
    assert v4.post("feedback", json=body).status_code == 401
    assert v4.post("feedback", json=body, headers={"X-API-KEY": "awk_wrong"}).status_code == 401
    refused = v4.post("feedback", json=body, headers={"X-API-KEY": key})
    assert refused.status_code == 403
    assert "detail" in refused.json()
    assert v4.get("projects", headers={"X-API-KEY": key}).status_code == 403
    taken = v4.post("feedback", json={**body, "data_id": "mine"}, headers={"X-API-KEY": key})
    assert taken.status_code == 200
    assert current(store_client, data_id) == []


def test_a_page_of_another_site_cannot_post(v4: TestClient, data_id: str) -> None:
    body = {"data_id": data_id, "type": "rating", "value": "good"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert v4.post("feedback", json=body, headers=headers).status_code == 403


def test_what_is_not_json_is_answered_400_and_what_is_no_object_422(v4: TestClient) -> None:
    for content in (b"{", b"\xff", b'{"value": NaN}', b"[" * 100_000):
        assert v4.post("feedback", content=content).status_code == 400
    assert v4.post("feedback", content=b'"x"').status_code == 422
    assert v4.post("feedback", json=["x"]).status_code == 422
