"""Keys and sessions: who may do what, on every route there is."""

from __future__ import annotations

import logging
import re
import traceback
from typing import Any

import pytest
from api_calls import API, api, headers, post_generations, refusal
from starlette.requests import Request
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.errors import InvalidInput
from afterword.server.api.openapi import openapi_document
from afterword.server.auth import SESSION_S, Gate
from afterword.server.guard import LOOPBACK_HOSTS
from afterword.server.keys import KeyBook, create_key, list_keys, revoke_key

CLOSED = [
    (method, path.replace("{project}", "bot").replace("{data_id}", "x").replace("{user}", "u"))
    for path, operations in openapi_document()["paths"].items()
    for method in operations
    if path != "/healthz"
] + [("get", "/metrics"), ("post", f"{API}/store/facts"), ("post", f"{API}/store/write")]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_route_answers_without_a_valid_key_once_there_is_one(
    client: Client, method: str, path: str
) -> None:
    key = headers(client, "admin")
    web = api(client)
    changed = {"Authorization": key["Authorization"][:-1] + "!"}
    cut = {"Authorization": key["Authorization"][:-1]}
    basic = {"Authorization": key["Authorization"].replace("Bearer", "Basic")}
    for sent in ({}, changed, cut, basic, {"X-API-KEY": ""}, {"Authorization": "Bearer"}):
        response = web.request(method, path, headers=sent)
        assert refusal(response)[0] == 401
        assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_works_in_either_header(client: Client) -> None:
    key = headers(client, "read")["Authorization"].removeprefix("Bearer ")
    web = api(client)
    for sent in ({"X-API-KEY": key}, {"Authorization": f"bearer  {key}"}):
        assert web.get(f"{API}/generations", headers=sent).status_code == 200


SCOPES = [
    ("post", f"{API}/generations", "ingest"),
    ("post", f"{API}/feedback", "feedback"),
    ("get", f"{API}/generations", "read"),
    ("get", f"{API}/generations/x", "read"),
    ("get", f"{API}/projects/bot/feedback-types", "read"),
    ("put", f"{API}/projects/bot/feedback-types", "admin"),
    ("delete", f"{API}/users/u", "admin"),
    ("get", "/metrics", "read"),
    ("post", f"{API}/store/generations", "read"),
    ("post", f"{API}/store/put_document", "admin"),
    ("post", f"{API}/store/erase", "admin"),
]


@pytest.mark.parametrize(("method", "path", "needed"), SCOPES)
def test_a_scope_opens_what_it_names_and_admin_everything(
    client: Client, method: str, path: str, needed: str
) -> None:
    keys = {scope: headers(client, scope) for scope in ("ingest", "read", "feedback", "admin")}
    web = api(client)
    for scope, key in keys.items():
        passes = web.request(method, path, headers=key).status_code != 403
        assert passes == (scope in (needed, "admin"))


def test_another_project_is_refused_wherever_it_is_named(client: Client) -> None:
    post_generations(api(client), {"id": "theirs", "project": "other", "user": "ann"})
    key = headers(client, "admin", project="bot")
    web = api(client)
    for method, path in (
        ("get", f"{API}/generations?project=other"),
        ("get", f"{API}/generations/theirs"),
        ("get", f"{API}/projects/other/feedback-types"),
        ("put", f"{API}/projects/other/feedback-types"),
    ):
        assert refusal(web.request(method, path, headers=key))[0] == 403
    assert web.get(f"{API}/generations", headers=key).json()["items"] == []
    assert web.delete(f"{API}/users/ann", headers=key).json() == {"erased": 0}


def test_a_revoked_key_is_refused_and_the_server_stays_closed(client: Client) -> None:
    text, key = create_key(client.store, project="bot", scopes=["read"])
    revoked = revoke_key(client.store, key.id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    web = api(client)
    sent = {"X-API-KEY": text}
    assert web.get(f"{API}/generations", headers=sent).status_code == 401
    assert web.get(f"{API}/generations").status_code == 401
    assert revoke_key(client.store, text) == revoked
    assert revoke_key(client.store, "nothing") is None


def test_a_revocation_is_seen_within_a_second_and_a_new_key_at_once(client: Client) -> None:
    now_s = 100.0
    book = KeyBook(client.store, clock_s=lambda: now_s)
    first, key = create_key(client.store, project="bot", scopes=["read"])
    assert book.find(first) is not None
    now_s += 0.2
    second, _ = create_key(client.store, project="bot", scopes=["read"])
    assert book.find(second) is not None
    revoke_key(client.store, key.id)
    now_s += 1.1
    assert book.find(first) is None
    assert book.find(second) is not None


def test_the_store_holds_no_key_that_works(client: Client) -> None:
    text, key = create_key(client.store, project="bot", scopes=["read"], label="ci")
    secret = text.rsplit("_", 1)[-1] if "_" not in text[17:] else text[17:]
    kept = "".join(body for _, _, body in client.store.documents("api_key"))
    assert secret not in kept
    assert text not in kept
    assert [found.id for found in list_keys(client.store)] == [key.id]
    told = f"{key!r} {key} {list_keys(client.store)} {Gate(client)!r}"
    assert secret not in told
    assert key.digest not in told


def test_a_key_is_in_no_log_and_no_traceback(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = headers(client, "read")
    web = api(client)
    web.get(f"{API}/generations", headers=key)

    def fail(*args: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(client.store, "generations", fail)
    with caplog.at_level(logging.DEBUG):
        response = web.get(f"{API}/generations", headers=key)
    assert refusal(response)[0] == 500
    told = caplog.text + "".join(
        "".join(traceback.format_exception(*record.exc_info))
        for record in caplog.records
        if record.exc_info
    )
    assert "RuntimeError: broken" in told
    assert key["Authorization"][-43:] not in told


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"scopes": ["read"], "project": "/x"}, "project"),
        ({"scopes": ["read"], "label": "x" * 201}, "label"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(
    client: Client, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        create_key(client.store, **{"project": "bot", **fields})
    assert caught.value.field == field
    assert list_keys(client.store) == []


def test_the_server_answers_for_its_own_hosts_only(client: Client) -> None:
    web = api(client, hosts=LOOPBACK_HOSTS)
    for host in ("localhost", "127.0.0.1:8787", "[::1]:8787", "LOCALHOST"):
        assert web.get("/healthz", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1"):
        response = web.get(f"{API}/generations", headers={"Host": host})
        assert refusal(response)[0] == 421


def test_another_sites_page_can_post_nothing(client: Client) -> None:
    web = api(client)
    for sent in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
    ):
        assert refusal(post_generations(web, {"id": "a"}, headers=sent))[0] == 403
    own = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert post_generations(web, {"id": "a"}, headers=own).status_code == 200


def test_a_public_server_is_closed_before_its_first_key(client: Client) -> None:
    web = api(client, is_public=True)
    assert web.get(f"{API}/generations").status_code == 401
    assert web.get("/", follow_redirects=False).status_code == 303


def sign_in(web: TestClient, key: str, **fields: str) -> Any:
    form = {"key": key, **fields}
    own = {"Origin": "http://testserver"}
    return web.post("/sign-in", data=form, headers=own, follow_redirects=False)


@pytest.fixture
def closed(client: Client) -> tuple[TestClient, str]:
    post_generations(api(client), {"id": "mine", "project": "bot"}, {"id": "no", "project": "x"})
    text, _ = create_key(client.store, project="bot", scopes=["read"])
    return api(client), text


def test_pages_lead_to_signing_in_and_back(closed: tuple[TestClient, str]) -> None:
    web, key = closed
    led = web.get("/?text=a%20b", follow_redirects=False)
    assert led.status_code == 303
    form = web.get(led.headers["location"])
    asked = re.search(r'name="next" value="([^"]*)"', form.text)
    assert asked is not None
    wrong = sign_in(web, "awk_nothing")
    assert (wrong.status_code, wrong.headers.get("set-cookie")) == (401, None)
    assert "no key that may read" in wrong.text
    response = sign_in(web, f" {key}\n", next=asked[1])
    assert (response.status_code, response.headers["location"]) == (303, "/?text=a%20b")
    cookie = response.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert key[17:] not in cookie
    assert web.get("/").status_code == 200


def test_a_session_sees_its_keys_project_only_and_may_not_write(
    closed: tuple[TestClient, str],
) -> None:
    web, key = closed
    sign_in(web, key)
    page = web.get("/").text
    assert "/generations/mine" in page
    assert "/generations/no" not in page
    assert web.get("/?project=x").status_code == 403
    assert web.get("/generations/mine").status_code == 200
    assert web.get("/generations/no").status_code == 404
    own = {"Origin": "http://testserver"}
    form = {"rating": "bad"}
    assert web.post("/generations/mine/feedback", data=form, headers=own).status_code == 403
    signed_out = web.post("/sign-out", headers=own, follow_redirects=False)
    assert signed_out.status_code == 303
    assert web.get("/", follow_redirects=False).status_code == 303


def test_a_reviewer_with_a_key_for_feedback_gives_it_in_their_project(client: Client) -> None:
    post_generations(api(client), {"id": "a", "project": "bot"}, {"id": "a", "project": "x"})
    text, _ = create_key(client.store, project="x", scopes=["read", "feedback"])
    web = api(client)
    sign_in(web, text)
    own = {"Origin": "http://testserver"}
    given = web.post("/generations/a/feedback", data={"rating": "bad"}, headers=own)
    assert given.status_code == 200
    assert [row.project for row in client.store.history(["a"])] == ["x"]


def test_a_session_ends_with_its_time_its_key_and_any_change(client: Client) -> None:
    now_s = 1_000_000.0
    text, key = create_key(client.store, project="bot", scopes=["read"])
    gate = Gate(client, clock_s=lambda: now_s)
    session = gate.new_session(text)
    assert session is not None
    assert gate._of_session(session) is not None
    for position in range(len(session)):
        changed = session[:position] + "0" + session[position + 1 :]
        assert changed == session or gate._of_session(changed) is None
    now_s += SESSION_S
    assert gate._of_session(session) is None
    now_s -= SESSION_S
    revoke_key(client.store, key.id)
    assert Gate(client, clock_s=lambda: now_s)._of_session(session) is None
    feedback_only, _ = create_key(client.store, project="bot", scopes=["feedback"])
    assert gate.new_session(feedback_only) is None


@pytest.mark.parametrize(
    "asked", ["//evil.example", "/\\evil.example", "https://evil.example", "/\n/evil.example", "x"]
)
def test_signing_in_leads_to_no_other_site(closed: tuple[TestClient, str], asked: str) -> None:
    web, key = closed
    assert sign_in(web, key, next=asked).headers["location"] == "/"


def test_signing_in_from_another_site_is_refused(closed: tuple[TestClient, str]) -> None:
    web, key = closed
    foreign = {"Origin": "https://evil.example"}
    for path in ("/sign-in", "/sign-out"):
        response = web.post(path, data={"key": key}, headers=foreign)
        assert response.status_code == 403
        assert "set-cookie" not in response.headers


def test_the_first_key_counts_from_its_first_request(client: Client) -> None:
    now_s = 100.0
    gate = Gate(client)
    gate._book = (client.store, KeyBook(client.store, clock_s=lambda: now_s))
    assert gate.is_open()
    now_s += 0.2
    text, _ = create_key(client.store, project="bot", scopes=["read"])
    request = Request({"type": "http", "headers": [(b"x-api-key", text.encode())]})
    access = gate.access(request)
    assert access is not None
    assert access.project == "bot"
    assert not gate.is_open()
