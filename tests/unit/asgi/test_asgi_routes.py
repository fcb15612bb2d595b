"""The helper routes: what is kept of what people say, and what they get back."""

from __future__ import annotations

import json

from feedback_desk import NOW_S, Desk, forbidden

from afterword import Client
from afterword.asgi import tokens
from afterword.ids import new_id
from afterword.model import from_microseconds


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


def test_a_beacon_of_plain_text_is_taken(desk: Desk) -> None:
    data_id = new_id()
    body = json.dumps({"token": desk.token(data_id), "type": "action", "value": "copied"})
    response = desk.http.post(
        "/feedback/", content=body, headers={"content-type": "text/plain;charset=UTF-8"}
    )
    assert response.status_code == 202
    assert [found.value for found in desk.kept(data_id).feedback] == ["copied"]


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
    desk.client.feedback(data_id, "correction", "Better.", user="bob")
    token = desk.token(data_id, user="ada")
    desk.user = "ada"
    assert desk.mine(token) == {data_id: {"rating": "good"}}
    desk.post(token=token, type="rating", value="bad")
    assert [found.value for found in desk.kept(data_id).feedback] == ["Better.", "bad"]


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
