"""The helper routes: rates, other origins, mounts, and clients that are slow or gone."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest
from feedback_desk import LISTED, UNLIMITED, Desk
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from afterword import Client, errors
from afterword.asgi import Limits, feedback_app, feedback_routes
from afterword.ids import new_id


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
