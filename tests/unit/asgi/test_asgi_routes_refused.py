"""The helper routes: what strangers are told when they may not write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from feedback_desk import NOW_S, Desk, forbidden
from starlette.testclient import TestClient

from afterword import Client
from afterword.asgi import Limits, feedback_app, tokens
from afterword.ids import new_id


def test_of_a_list_with_a_bad_entry_nothing_is_kept(desk: Desk) -> None:
    data_id = new_id()
    entries = [{"type": "rating", "value": "good"}, {"type": "rating", "value": "splendid"}]
    response = desk.post(token=desk.token(data_id), feedback=entries)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "feedback[1].value"
    assert "good, bad" in response.json()["detail"]
    assert desk.client.get(data_id) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "applause"}, "type"),
        ({"type": ""}, "type"),
        ({"value": "splendid"}, "value"),
        ({"value": ["good"]}, "value"),
        ({"value": {"a": 1}}, "value"),
        ({"comment": 5}, "comment"),
        ({"metadata": "x"}, "metadata"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": -5}, "created_at"),
        ({"unset": "yes"}, "unset"),
        ({"mood": 1}, "mood"),
        ({"token": None}, "token"),
        ({"token": 5}, "token"),
        ({"token": ["aw1"]}, "token"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_422_names_the_field(desk: Desk, change: dict[str, Any], field: str, listed: bool) -> None:
    data_id = new_id()
    entry = {"type": "rating", "value": "good", **change}
    token = entry.pop("token", desk.token(data_id))
    body = {"feedback": [entry]} if listed else entry
    response = desk.post(token=token, **body)
    assert response.status_code == 422
    where = f"feedback[0].{field}" if listed and field != "token" else field
    assert response.json()["errors"] == [{"field": where, "message": response.json()["detail"]}]
    assert desk.client.get(data_id) is None


def test_a_body_without_a_token_is_422(desk: Desk) -> None:
    response = desk.post(type="rating", value="good")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "token"


def test_403_is_the_same_for_every_bad_token_and_every_data_id_it_does_not_name(desk: Desk) -> None:
    data_id, other = new_id(), new_id()
    token = desk.token(data_id)
    foreign = tokens.mint(
        (("k1", b"another server's secret"),), "web", [data_id],
        subject=tokens.random_subject(), bound=False, now_s=NOW_S,
    )  # fmt: skip
    answers = {
        forbidden(desk, ""),
        forbidden(desk, "x"),
        forbidden(desk, token[:-1]),
        forbidden(desk, token + "A"),
        forbidden(desk, token.replace("aw1.", "aw2.")),
        forbidden(desk, token.replace(".k1.", ".k2.")),
        forbidden(desk, "\0\ud800"),
        forbidden(desk, foreign),
        forbidden(desk, desk.token(data_id, now_s=NOW_S - 90_000)),
        forbidden(desk, desk.token(data_id, now_s=NOW_S + 61)),
        forbidden(desk, token, data_id=other),
        forbidden(desk, token, data_id=""),
        forbidden(desk, token, data_id="../x"),
    }
    assert len(answers) == 1
    assert b"detail" in answers.pop()
    assert desk.client.get(data_id) is None


def test_a_list_that_names_one_foreign_data_id_is_refused_whole(desk: Desk) -> None:
    one, other = new_id(), new_id()
    entry = {"type": "rating", "value": "good"}
    response = desk.post(token=desk.token(one), feedback=[entry, {**entry, "data_id": other}])
    assert response.status_code == 403
    assert desk.client.get(one) is None


def test_a_token_is_refused_once_it_has_expired(desk: Desk) -> None:
    token = desk.token(ttl_s=60)
    desk.now.now_s = NOW_S + 60 + tokens.SKEW_S - 1
    assert desk.post(token=token, type="rating", value="good").status_code == 202
    desk.now.now_s += 1
    assert desk.post(token=token, type="rating", value="good").status_code == 403


def test_the_types_a_token_allows_are_all_it_allows(desk: Desk) -> None:
    token = desk.token(types=["rating"])
    assert desk.post(token=token, type="rating", value="good").status_code == 202
    response = desk.post(token=token, type="comment", value="hello")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "type"
    assert "rating" in response.json()["detail"]
    response = desk.post(
        token=token,
        feedback=[{"type": "rating", "value": "bad"}, {"type": "comment", "value": "x"}],
    )
    assert response.json()["errors"][0]["field"] == "feedback[1].type"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/feedback/", "/feedback/mine"])
def test_nothing_is_written_or_told_by_any_method_but_post(
    desk: Desk, method: str, path: str
) -> None:
    data_id = new_id()
    body = json.dumps({"token": desk.token(data_id), "type": "rating", "value": "good"})
    query = {"token": desk.token(data_id), "type": "rating", "value": "good"}
    response = desk.http.request(
        method, path, content=body, params=query, headers={"content-type": "application/json"}
    )
    assert response.status_code == 405
    assert response.headers["allow"] == "POST, OPTIONS"
    assert method == "HEAD" or "detail" in response.json()
    assert desk.client.get(data_id) is None


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"hello", "text/plain", 400),
        (b'{"token": NaN}', "application/json", 400),
        (b'{"token": "a", "token": "b"}', "application/json", 400),
        (b"[" * 10_000, "application/json", 400),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"type=rating&value=good", "application/x-www-form-urlencoded", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
        (b"{}", "", 415),
        (b'{"a":' * 6 + b"1" + b"}" * 6, "application/json", 422),
        (b'{"a": "' + b"x" * 20_000 + b'"}', "application/json", 413),
    ],
)
@pytest.mark.parametrize("path", ["/feedback/", "/feedback/mine"])
def test_a_body_that_cannot_be_read_is_refused_in_json(
    desk: Desk, content: bytes, content_type: str, status: int, path: str
) -> None:
    response = desk.http.post(path, content=content, headers={"content-type": content_type})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert isinstance(response.json()["detail"], str)


def test_a_thousand_entries_are_refused_and_none_is_kept(desk: Desk) -> None:
    data_id = new_id()
    entries = [{"type": "action", "value": "copied"}] * 1000
    response = desk.post(token=desk.token(data_id), feedback=entries)
    assert response.status_code in (413, 422)
    roomy = Desk(desk.client, Limits(body_bytes=100_000))
    response = roomy.post(token=desk.token(data_id), feedback=entries)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "feedback"
    assert desk.client.get(data_id) is None


def test_without_a_secret_the_routes_say_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(client)
    token = desk.token()
    client._keyring._keys = ()
    monkeypatch.setattr(client.store, "is_local", False)  # as with a remote store
    for response in (
        desk.post(token=token, type="rating", value="good"),
        desk.post("/feedback/mine", tokens=[]),
    ):
        assert response.status_code == 503
        assert "AFTERWORD_SECRET" in response.json()["detail"]


def test_a_store_that_is_away_is_503_and_come_again(tmp_path: Any) -> None:
    client = Client(
        f"sqlite:///{tmp_path}/no/folder.db", secret="k1:0123456789abcdef0123456789abcdef"
    )
    desk = Desk(client)
    for response in (
        desk.post(token=desk.token(), type="rating", value="good"),
        desk.post("/feedback/mine", tokens=[desk.token()]),
    ):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        assert str(tmp_path) not in response.text
    assert client.status().faults >= 2
    client.close()


def test_a_secret_that_cannot_be_read_is_503_and_come_again(tmp_path: Any) -> None:
    (tmp_path / "folder.db").mkdir()
    client = Client(f"sqlite:///{tmp_path}/folder.db")
    http = TestClient(feedback_app(client=client))
    response = http.post("/", json={"token": "x", "type": "rating", "value": "good"})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    client.close()
