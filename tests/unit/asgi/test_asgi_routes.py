"""The helper routes: what strangers may write, and what they are told when they may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from afterword import Client, Generation, errors
from afterword.asgi import FeedbackMiddleware, Limits, feedback_app, feedback_routes, tokens
from afterword.asgi.routes import FeedbackRoutes
from afterword.ids import new_id
from afterword.model import from_microseconds

NOW_S = 1_790_000_000
UNLIMITED = Limits(per_token=0, per_generation=0, per_address=0)


class Clock:
    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Desk:
    """The routes mounted at /feedback, a clock to move, and tokens to post with."""

    def __init__(
        self,
        client: Client,
        limits: Limits = UNLIMITED,
        origins: frozenset[str] = frozenset(),
        user: str | None = None,
    ) -> None:
        self.client = client
        self.clock = Clock(1000.0)
        self.now = Clock(NOW_S)
        self.user = user
        self.script = FeedbackRoutes(
            origins, limits, client, clock_s=self.clock, now_s=self.now
        ).routes()
        app = Starlette(routes=[Mount("/feedback", routes=self.script)])
        self.app = FeedbackMiddleware(app, client=client, user=lambda scope: self.user)
        self.http = TestClient(self.app, base_url="https://site.example")

    def token(self, *data_ids: str, user: str | None = None, **options: Any) -> str:
        ring = self.client.keyring()
        subject = (
            tokens.random_subject()
            if user is None
            else tokens.subject_of(ring, ring[0][0], "user", user)
        )
        assert subject is not None
        options = {"subject": subject, "bound": user is not None, "now_s": NOW_S, **options}
        return tokens.mint(ring, "web", data_ids or (new_id(),), **options)

    def post(self, path: str = "/feedback/", **body: Any) -> Any:
        return self.http.post(
            path,
            content=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            follow_redirects=False,
        )

    def mine(self, *given: str) -> Any:
        response = self.post("/feedback/mine", tokens=list(given))
        assert response.status_code == 200, response.text
        return response.json()

    def kept(self, data_id: str) -> Generation:
        found = self.client.get(data_id)
        assert found is not None
        return found


@pytest.fixture
def desk(client: Client) -> Desk:
    return Desk(client)


def test_feedback_is_taken_and_kept(desk: Desk) -> None:
    data_id = new_id()
    token = desk.token(data_id)
    response = desk.post(token=token, type="rating", value="good", comment="yes")
    assert response.status_code == 202
    (reply,) = response.json()["feedback"]
    assert reply == {"id": reply["id"], "data_id": data_id, "type": "rating", "value": "good"}
    (kept,) = desk.kept(data_id).feedback
    assert (kept.id, kept.value, kept.comment, kept.source) == (
        reply["id"], "good", "yes", "end_user",
    )  # fmt: skip
    assert kept.user is None
    assert kept.subject == tokens.read(token, desk.client.keyring(), now_s=NOW_S).subject


def test_a_list_is_kept_in_its_order(desk: Desk) -> None:
    one, other = new_id(), new_id()
    response = desk.post(
        token=desk.token(one, other),
        feedback=[
            {"type": "rating", "value": "bad"},
            {"data_id": other, "type": "rating", "value": "good"},
            {"type": "correction", "value": "Better."},
            {"type": "issue", "value": ["incorrect", "too_long"]},
        ],
    )
    assert response.status_code == 202
    assert [(row["data_id"], row["value"]) for row in response.json()["feedback"]] == [
        (one, "bad"), (other, "good"), (one, "Better."), (one, ["incorrect", "too_long"]),
    ]  # fmt: skip
    assert len(desk.kept(one).feedback) == 4
    assert [found.value for found in desk.kept(other).feedback] == ["good"]


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


def forbidden(desk: Desk, token: str, **entry: Any) -> bytes:
    response = desk.post(token=token, **{"type": "rating", "value": "good", **entry})
    assert response.status_code == 403
    return bytes(response.content) + repr(sorted(response.headers.items())).encode()


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


def test_a_beacon_of_plain_text_is_taken(desk: Desk) -> None:
    data_id = new_id()
    body = json.dumps({"token": desk.token(data_id), "type": "action", "value": "copied"})
    response = desk.http.post(
        "/feedback/", content=body, headers={"content-type": "text/plain;charset=UTF-8"}
    )
    assert response.status_code == 202
    assert [found.value for found in desk.kept(data_id).feedback] == ["copied"]


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


def test_a_comment_of_nul_and_lone_surrogates_is_kept_losslessly(desk: Desk) -> None:
    text = "\0 \ud800 \udfff \r\n \u202e <script> \x1b[31m é 😀"
    data_id = new_id()
    token = desk.token(data_id)
    response = desk.post(token=token, type="comment", value=text, comment=text)
    assert response.status_code == 202
    assert response.json()["feedback"][0]["value"] == text
    (kept,) = desk.kept(data_id).feedback
    assert (kept.value, kept.comment) == (text, text)
    assert desk.mine(token) == {data_id: {"comment": text}}


def test_a_retraction_takes_the_rating_and_its_comment_back(desk: Desk) -> None:
    for retraction in ({"value": None}, {"unset": True}, {"value": "good", "unset": True}):
        data_id = new_id()
        token = desk.token(data_id)
        desk.post(token=token, type="rating", value="good", comment="fine")
        response = desk.post(token=token, type="rating", **retraction)
        assert response.status_code == 202
        assert response.json()["feedback"][0]["value"] is None
        assert desk.kept(data_id).feedback == []
        assert desk.mine(token) == {data_id: {}}
        history = desk.kept(data_id).feedback_history
        assert [found.unset for found in history] == [False, True]
        assert history[-1].comment is None


def test_one_label_of_several_can_be_taken_back(desk: Desk) -> None:
    data_id = new_id()
    token = desk.token(data_id)
    desk.post(token=token, type="issue", value=["incorrect", "too_long", "offensive"])
    desk.post(token=token, type="issue", value="too_long", unset=True)
    assert desk.mine(token) == {data_id: {"issue": ["incorrect", "offensive"]}}
    desk.post(token=token, type="issue", value=None)
    assert desk.mine(token) == {data_id: {}}
    desk.post(token=token, type="issue", value="incorrect")
    assert desk.mine(token) == {data_id: {"issue": ["incorrect"]}}


def test_labels_stand_side_by_side_and_each_once(desk: Desk) -> None:
    data_id = new_id()
    token = desk.token(data_id)
    for label in ("copied", "saved", "copied"):
        assert desk.post(token=token, type="action", value=label).status_code == 202
    assert desk.mine(token, token) == {data_id: {"action": ["copied", "saved"]}}


def test_mine_leaves_out_bad_tokens_and_what_others_said(desk: Desk) -> None:
    one, other = new_id(), new_id()
    ada, bob = desk.token(one), desk.token(one, other)
    desk.post(token=ada, type="rating", value="good")
    desk.post(token=bob, type="rating", value="bad")
    desk.client.feedback(one, "correction", "Better.", user="carol", source="reviewer")
    assert desk.mine(ada) == {one: {"rating": "good"}}
    assert desk.mine(bob) == {one: {"rating": "bad"}, other: {}}
    assert desk.mine(ada[:-1], "", "x") == {}
    assert desk.mine() == {}


def test_mine_answers_in_the_order_in_which_a_token_names_its_ids(desk: Desk) -> None:
    ids = [new_id() for _ in range(4)]
    assert list(desk.mine(desk.token(*reversed(ids)))) == ids[::-1]


def test_the_token_of_one_user_is_no_use_to_another(desk: Desk) -> None:
    data_id = new_id()
    token = desk.token(data_id, user="ada")
    desk.user = "bob"
    refusal = forbidden(desk, token)
    assert refusal == forbidden(desk, "x")
    assert desk.mine(token) == {}
    desk.user = "ada"
    assert desk.post(token=token, type="rating", value="good").status_code == 202
    assert desk.mine(token) == {data_id: {"rating": "good"}}
    (kept,) = desk.kept(data_id).feedback
    assert kept.user == "ada"


def test_a_user_is_recorded_only_where_the_middleware_names_the_same(desk: Desk) -> None:
    anonymous, bound = new_id(), new_id()
    desk.user = "ada"
    desk.post(token=desk.token(anonymous), type="rating", value="good")
    assert desk.kept(anonymous).feedback[0].user is None
    desk.user = None
    desk.post(token=desk.token(bound, user="ada"), type="rating", value="good")
    assert desk.kept(bound).feedback[0].user is None
    assert desk.kept(bound).feedback[0].source == "end_user"


def test_what_a_user_said_logged_in_can_be_taken_back_with_the_token_alone(desk: Desk) -> None:
    data_id = new_id()
    token = desk.token(data_id, user="ada")
    desk.user = "ada"
    desk.post(token=token, type="rating", value="good")
    desk.user = None
    desk.post(token=token, type="rating", value=None)
    assert desk.kept(data_id).feedback == []


def test_a_user_sees_what_the_server_recorded_for_them_too(desk: Desk) -> None:
    data_id = new_id()
    desk.client.feedback(data_id, "rating", "good", user="ada")
    token = desk.token(data_id, user="ada")
    desk.user = "ada"
    assert desk.mine(token) == {data_id: {"rating": "good"}}
    desk.post(token=token, type="rating", value="bad")
    assert [found.value for found in desk.kept(data_id).feedback] == ["bad"]


def test_the_project_of_the_generation_counts_and_not_the_one_of_the_token(client: Client) -> None:
    desk = Desk(client)
    client.log(project="other", data_id="msg-1", inputs="x")
    client.flush()
    token = desk.token("msg-1")
    assert desk.post(token=token, type="rating", value="good").status_code == 202
    assert client.store.history(["msg-1"], "other")[0].value == '"good"'
    assert desk.mine(token) == {"msg-1": {"rating": "good"}}


def test_one_id_in_two_projects_is_two_generations(client: Client) -> None:
    desk = Desk(client)
    client.store.write([], [])
    for project in ("other", "web"):
        client.log(project=project, data_id="msg-1", inputs="x")
        client.flush()
    client.desk._places.clear()  # as in another process
    assert desk.post(token=desk.token("msg-1"), type="rating", value="good").status_code == 202
    assert client.store.history(["msg-1"], "other") == []
    assert len(client.store.history(["msg-1"], "web")) == 1


def test_a_clock_of_the_browser_that_is_wrong_is_held_within_reason(desk: Desk) -> None:
    now_us = desk.client.desk._now()
    token_s = now_us // 1_000_000 - 3600
    desk.now.now_s = token_s
    data_id = new_id()
    token = desk.token(data_id, now_s=token_s)
    for created_at in ("1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"):
        for value in ("good", "bad"):
            body = {"type": "rating", "value": value, "created_at": created_at}
            assert desk.post(token=token, **body).status_code == 202
    history = desk.kept(data_id).feedback_history
    assert from_microseconds((token_s - 86_400) * 1_000_000) == history[0].created_at
    assert all(found.created_at <= found.received_at for found in history)
    assert [found.value for found in desk.kept(data_id).feedback] == ["bad"]


def test_a_retry_with_its_time_is_the_same_statement(desk: Desk) -> None:
    created_at = from_microseconds(desk.client.desk._now() - 5_000_000).isoformat()
    desk.now.now_s = desk.client.desk._now() // 1_000_000
    data_id = new_id()
    token = desk.token(data_id, now_s=int(desk.now.now_s) - 60)
    body = {"type": "rating", "value": "good", "created_at": created_at}
    ids = {desk.post(token=token, **body).json()["feedback"][0]["id"] for _ in range(5)}
    assert len(ids) == 1
    assert len(desk.kept(data_id).feedback_history) == 1


def test_the_rate_of_a_token_is_60_a_minute(client: Client) -> None:
    desk = Desk(client, Limits())
    token, other = desk.token(), desk.token()
    for _ in range(60):
        assert desk.post(token=token, type="rating", value="good").status_code == 202
    response = desk.post(token=token, type="rating", value="good")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert "detail" in response.json()
    assert desk.post(token=other, type="rating", value="good").status_code == 202
    desk.clock.now_s += 1
    assert desk.post(token=token, type="rating", value="good").status_code == 202
    assert desk.post(token=token, type="rating", value="good").status_code == 429


def test_the_rate_of_a_generation_is_120_a_minute_whoever_posts(client: Client) -> None:
    desk = Desk(client, Limits())
    data_id = new_id()
    for _ in range(4):
        token = desk.token(data_id)
        for _ in range(30):
            assert desk.post(token=token, type="rating", value="good").status_code == 202
    assert desk.post(token=desk.token(data_id), type="rating", value="good").status_code == 429
    assert desk.post(token=desk.token(), type="rating", value="good").status_code == 202


def test_the_rate_of_an_address_holds_for_posts_and_for_mine(client: Client) -> None:
    desk = Desk(client, Limits(per_address=4))
    for _ in range(2):
        assert desk.post(token=desk.token(), type="rating", value="good").status_code == 202
        assert desk.post("/feedback/mine", tokens=[]).status_code == 200
    for response in (
        desk.post(token=desk.token(), type="rating", value="good"),
        desk.post("/feedback/mine", tokens=[]),
    ):
        assert response.status_code == 429
        assert response.headers["retry-after"] == "15"
    elsewhere = TestClient(desk.app, client=("2001:db8::1", 1))
    body: dict[str, Any] = {"tokens": []}
    statuses = [elsewhere.post("/feedback/mine", json=body).status_code for _ in range(5)]
    neighbour = TestClient(desk.app, client=("2001:db8::ffff:2", 1))
    assert statuses == [200, 200, 200, 200, 429]
    assert neighbour.post("/feedback/mine", json=body).status_code == 429


def test_a_forged_forwarded_for_is_no_way_around_the_rate(client: Client) -> None:
    desk = Desk(client, Limits(per_address=2))
    statuses = [
        desk.http.post(
            "/feedback/mine", json={"tokens": []}, headers={"x-forwarded-for": f"192.0.2.{number}"}
        ).status_code
        for number in range(4)
    ]
    assert statuses == [200, 200, 429, 429]


def test_a_token_that_is_over_its_rate_does_not_use_up_its_address(client: Client) -> None:
    desk = Desk(client, Limits(per_token=1, per_address=2))
    token = desk.token()
    statuses = [desk.post(token=token, type="rating", value="good").status_code for _ in range(5)]
    assert statuses == [202, 429, 429, 429, 429]
    assert desk.post(token=desk.token(), type="rating", value="good").status_code == 202


def test_without_a_secret_the_routes_say_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(client)
    token = desk.token()
    client._keyring = ()
    monkeypatch.setattr(client.store, "is_local", False)  # as with a remote store
    for response in (
        desk.post(token=token, type="rating", value="good"),
        desk.post("/feedback/mine", tokens=[]),
    ):
        assert response.status_code == 503
        assert "AFTERWORD_SECRET" in response.json()["detail"]


def test_a_store_that_is_away_is_503_and_come_again(tmp_path: Any) -> None:
    (tmp_path / "folder.db").mkdir()
    client = Client(f"sqlite:///{tmp_path}/folder.db", secret="k1:0123456789abcdef0123456789abcdef")
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


LISTED = "https://app.example.com"


@pytest.fixture
def listing(client: Client) -> Desk:
    return Desk(client, origins=frozenset({LISTED}))


@pytest.mark.parametrize("path", ["/feedback/", "/feedback/mine"])
def test_a_listed_origin_may_ask_before_and_read_every_answer(listing: Desk, path: str) -> None:
    asked = listing.http.options(
        path,
        headers={
            "origin": LISTED,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )
    assert asked.status_code == 204
    assert asked.content == b""
    assert asked.headers["access-control-allow-methods"] == "POST"
    assert asked.headers["access-control-allow-headers"] == "content-type"
    answers = [asked]
    body = {"token": listing.token(), "type": "rating", "value": "good", "tokens": []}
    for content in (json.dumps(body), "{", "{}"):
        headers = {"origin": LISTED, "content-type": "application/json"}
        answers.append(listing.http.post(path, content=content, headers=headers))
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == LISTED
        assert "retry-after" in answer.headers["access-control-expose-headers"].lower()
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{LISTED}.evil.example", ""])
@pytest.mark.parametrize("path", ["/feedback/", "/feedback/mine"])
def test_another_origin_is_refused_and_may_not_read_why(
    listing: Desk, origin: str, path: str
) -> None:
    data_id = new_id()
    token = listing.token(data_id)
    body: dict[str, Any] = {"token": token, "type": "rating", "value": "good"}
    for answer in (
        listing.http.options(path, headers={"origin": origin}),
        listing.http.post(path, json=body, headers={"origin": origin}),
    ):
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"
    assert listing.client.get(data_id) is None


def test_the_same_origin_needs_no_cors_and_gets_none(desk: Desk) -> None:
    headers = {"origin": "https://site.example"}
    body = {"token": desk.token(), "type": "rating", "value": "good"}
    response = desk.http.post("/feedback/", json=body, headers=headers)
    assert response.status_code == 202
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert "vary" not in response.headers
    asked = desk.http.options("/feedback/", headers=headers)
    assert asked.status_code == 204
    assert not [name for name in asked.headers if name.startswith("access-control")]


def test_a_cross_site_request_without_an_origin_is_refused(desk: Desk) -> None:
    body = {"token": desk.token(), "type": "rating", "value": "good"}
    headers = {"sec-fetch-site": "cross-site"}
    assert desk.http.post("/feedback/", json=body, headers=headers).status_code == 403


def test_cookies_are_neither_asked_for_nor_set(desk: Desk) -> None:
    desk.http.cookies.set("session", "x")
    response = desk.post(token=desk.token(), type="rating", value="good")
    assert "set-cookie" not in response.headers


def test_the_script_can_be_loaded_cached_and_asked_for_again(desk: Desk) -> None:
    response = desk.http.get("/feedback/afterword.js")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "afterword-feedback" in response.text
    again = desk.http.get(
        "/feedback/afterword.js", headers={"if-none-match": response.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    head = desk.http.head("/feedback/afterword.js")
    assert (head.status_code, head.content) == (200, b"")


def test_the_script_may_be_loaded_by_listed_origins_alone(listing: Desk) -> None:
    for origin, allowed in ((LISTED, LISTED), ("https://evil.example", None)):
        response = listing.http.get("/feedback/afterword.js", headers={"origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed
        assert response.headers["vary"] == "Origin"


def test_a_post_without_the_trailing_slash_is_led_to_the_route_body_and_all(desk: Desk) -> None:
    data_id = new_id()
    body = {"token": desk.token(data_id), "type": "rating", "value": "good"}
    response = desk.post("/feedback", **body)
    assert (response.status_code, response.headers["location"]) == (
        307,
        "https://site.example/feedback/",
    )
    response = desk.http.post("/feedback", json=body, follow_redirects=True)
    assert response.status_code == 202


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("root_path", "path"), [("/feedback", "/feedback"), ("", ""), ("/feedback", "/feedback/")]
)
async def test_a_mount_that_takes_the_whole_path_off_reaches_the_route(
    client: Client, root_path: str, path: str
) -> None:
    desk = Desk(client)
    body = json.dumps({"token": desk.token(), "type": "rating", "value": "good"}).encode()
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": root_path,
        "query_string": b"",
        "headers": [(b"host", b"site.example"), (b"content-type", b"application/json")],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    app = Starlette(routes=desk.script)
    await app(scope, receive, send)
    assert sent[0]["status"] == 202


@pytest.mark.anyio
async def test_a_client_that_leaves_half_way_is_no_error(client: Client) -> None:
    desk = Desk(client)
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b'{"a"', "more_body": True}]

    async def receive() -> Any:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/feedback/", "root_path": "",
        "query_string": b"", "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip
    await desk.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert client.status().faults == 0


@pytest.mark.anyio
async def test_slow_bodies_do_not_slow_others(client: Client) -> None:
    desk = Desk(client, Limits(read_timeout_s=0.5, per_address=0))
    release = anyio.Event()

    async def slow() -> int:
        async def body() -> Any:
            yield b'{"tok'
            await release.wait()

        return await post(body())

    async def post(content: Any) -> int:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(desk.app), base_url="https://site.example"
        ) as http:
            response = await http.post(
                "/feedback/", content=content, headers={"content-type": "application/json"}
            )
            return response.status_code

    statuses: list[int] = []

    async def note() -> None:
        statuses.append(await slow())

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(note)
        await anyio.lowlevel.checkpoint()
        quick = json.dumps({"token": desk.token(), "type": "rating", "value": "good"}).encode()
        assert await post(quick) == 202
        assert not statuses
    assert statuses == [408] * 50


def test_the_public_forms_take_the_same_options(client: Client) -> None:
    options: dict[str, Any] = {"origins": [LISTED], "limits": UNLIMITED, "client": client}
    app = Starlette(routes=[Mount("/f", routes=feedback_routes(**options))])
    for http, path in (
        (TestClient(app), "/f/mine"),
        (TestClient(feedback_app(**options)), "/mine"),
    ):
        response = http.post(path, json={"tokens": []}, headers={"origin": LISTED})
        assert (response.status_code, response.json()) == (200, {})
        assert response.headers["access-control-allow-origin"] == LISTED
    with pytest.raises(errors.ConfigError):
        feedback_app(origins=["*"])


@pytest.fixture(autouse=True)
def _closed(client: Client) -> Iterator[None]:
    yield
    assert client.status().dropped == 0
