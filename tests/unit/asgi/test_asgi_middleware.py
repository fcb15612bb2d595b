"""The middleware, on raw ASGI messages: which responses are announced, and with what."""

from __future__ import annotations

import time
from typing import Any

import pytest
from raw_requests import EXPOSE, ID, SIZED, TOKEN, headers_of, respond, responding, stored
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, tokens
from afterword.asgi.heads import DATA_ID_HEADER, TOKEN_HEADER
from afterword.context import current_trail

pytestmark = pytest.mark.anyio


async def announced(client: Client, *headers: tuple[bytes, bytes], **options: Any) -> bool:
    method = options.pop("method", "POST")
    asked = options.pop("asked", ())
    app = FeedbackMiddleware(responding(client, *headers, **options), client=client)
    found = headers_of(await respond(app, method, asked))
    assert (ID in found) == (TOKEN in found)
    return ID in found


async def test_the_id_and_a_token_for_it_are_added_and_nothing_else_changes(client: Client) -> None:
    given = [(b"Content-Length", b"2"), (b"X-One", b"1"), (b"x-one", b"2"), (b"Set-Cookie", b"a")]
    app = FeedbackMiddleware(responding(client, *given), client=client)
    start, body = await respond(app)
    assert start["headers"][:-2] == given
    (name, data_id), (token_name, token) = start["headers"][-2:]
    assert (name.decode(), token_name.decode()) == (DATA_ID_HEADER.lower(), TOKEN_HEADER.lower())
    assert body == {"type": "http.response.body", "body": b"hi"}
    assert stored(client) == [data_id.decode()]
    said = tokens.read(token.decode(), client.keyring(), now_s=int(time.time()))
    assert said.data_ids == (data_id.decode(),)


@pytest.mark.parametrize("status", [200, 201, 202, 206, 400, 404, 422, 429, 500, 503])
async def test_every_status_with_a_body_is_announced(client: Client, status: int) -> None:
    assert await announced(client, SIZED, status=status)
    assert await announced(client, status=status)


@pytest.mark.parametrize("status", [100, 103, 204, 304])
async def test_a_status_without_a_body_is_not(client: Client, status: int) -> None:
    assert not await announced(client, status=status)
    assert not await announced(client, SIZED, status=status)


async def test_the_answer_to_a_head_request_is_not(client: Client) -> None:
    assert not await announced(client, SIZED, method="HEAD")
    assert not await announced(client, method="HEAD")


async def test_a_response_that_is_not_announced_is_no_fault(client: Client) -> None:
    assert not await announced(client, SIZED, generations=0)
    assert client.status().faults == 0


@pytest.mark.parametrize("extra", [{}, {"headers": ((b"X-One", b"1"), SIZED)}, {"headers": []}])
async def test_a_message_that_is_not_announced_is_passed_on_itself(
    client: Client, extra: dict[str, Any]
) -> None:
    start: Message = {"type": "http.response.start", "status": 204, **extra}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)

    sent = await respond(FeedbackMiddleware(app, client=client))
    assert sent[0] is start
    assert start == {"type": "http.response.start", "status": 204, **extra}
    assert client.status().faults == 0


@pytest.mark.parametrize(
    ("headers", "is_announced"),
    [
        ([(b"Content-Length", b"2"), (b"CACHE-CONTROL", b"public")], False),
        ([SIZED, (b"cache-control", b"no-transform"), (b"cache-control", b"public")], False),
        ([SIZED, (b"Afterword-Data-ID", b"of-the-app")], False),
        ([(b"CONTENT-LENGTH", b"2"), (b"Cache-Control", b"no-store")], True),
        ([SIZED, (b"1", b"a name without letters")], True),
    ],
)
async def test_headers_are_known_however_they_are_spelt_and_however_often_they_come(
    client: Client, headers: list[tuple[bytes, bytes]], is_announced: bool
) -> None:
    found = (await respond(FeedbackMiddleware(responding(client, *headers), client=client)))[0]
    assert (found["headers"] != headers) == is_announced
    assert client.status().faults == 0


async def test_a_response_that_cannot_be_announced_is_counted_as_a_fault(client: Client) -> None:
    app = FeedbackMiddleware(_with_headers(client, lambda: [b"content-length"], 1), client=client)
    start, _ = await respond(app)
    assert start["headers"] == [b"content-length"]
    assert client.status().faults == 1


async def test_a_sized_response_without_a_generation_is_not(client: Client) -> None:
    assert not await announced(client, SIZED, generations=0)
    assert not await announced(client, (b"CONTENT-LENGTH", b"0"), generations=0)


@pytest.mark.parametrize(
    ("control", "is_announced"),
    [
        (b"public", False),
        (b"Public, max-age=60", False),
        (b"s-maxage=10", False),
        (b"max-age=31536000, immutable", False),
        (b"max-age=60", False),
        (b'max-age="60"', False),
        (b"no-cache, max-age=60", False),
        (b'private="set-cookie", max-age=60', False),
        (b"max-age=0", True),
        (b"no-cache", True),
        (b"no-store", True),
        (b"private", True),
        (b"private, max-age=60", True),
        (b"no-store, public", True),
        (b"x-public=1", True),
        (b"", True),
    ],
)
async def test_what_a_shared_cache_may_give_to_others_is_not(
    client: Client, control: bytes, is_announced: bool
) -> None:
    assert await announced(client, SIZED, (b"Cache-Control", control)) is is_announced
    lines = [(b"cache-control", part) for part in control.split(b",")]
    assert await announced(client, *lines) is is_announced


@pytest.mark.parametrize("name", [ID, TOKEN, b"Afterword-Data-Id", b"AFTERWORD-FEEDBACK-TOKEN"])
async def test_what_the_app_announced_itself_stays(client: Client, name: bytes) -> None:
    app = FeedbackMiddleware(responding(client, SIZED, (name, b"mine")), client=client)
    start, _ = await respond(app)
    assert start["headers"] == [SIZED, (name, b"mine")]


async def test_the_first_generation_of_a_streamed_body_adopts_the_id_announced(
    client: Client,
) -> None:
    app = FeedbackMiddleware(responding(client, generations=0, later=3), client=client)
    data_id = headers_of(await respond(app))[ID].decode()
    assert stored(client)[-1] == data_id
    assert len(stored(client)) == 3


async def test_of_several_generations_the_last_is_announced_and_the_token_names_all(
    client: Client,
) -> None:
    app = FeedbackMiddleware(responding(client, SIZED, generations=3), client=client)
    found = headers_of(await respond(app))
    newest_first = stored(client)
    assert found[ID].decode() == newest_first[0]
    said = tokens.read(found[TOKEN].decode(), client.keyring(), now_s=int(time.time()))
    assert list(said.data_ids) == newest_first


async def test_requests_do_not_share_their_generations(client: Client) -> None:
    app = FeedbackMiddleware(responding(client, SIZED), client=client)
    found = [headers_of(await respond(app))[ID] for _ in range(3)]
    assert len(set(found)) == 3
    assert current_trail() is None


async def test_headers_that_can_be_read_only_once_reach_the_server(client: Client) -> None:
    for generations in (0, 1):
        app = FeedbackMiddleware(
            _with_headers(client, lambda: iter([SIZED, (b"x-one", b"1")]), generations),
            client=client,
        )
        start, _ = await respond(app)
        assert list(start["headers"])[:2] == [SIZED, (b"x-one", b"1")]
        assert len(list(start["headers"])) == (4 if generations else 2)


async def test_a_message_without_headers_gets_some(client: Client) -> None:
    app = FeedbackMiddleware(_with_headers(client, None, 1), client=client)
    start, _ = await respond(app)
    assert {name for name, _ in start["headers"]} == {ID, TOKEN}


async def test_the_message_and_the_headers_of_the_app_are_not_touched(client: Client) -> None:
    mine: list[Any] = [[b"x-one", b"1"]]
    app = FeedbackMiddleware(_with_headers(client, lambda: mine, 1), client=client)
    first, _ = await respond(app)
    second, _ = await respond(app)
    assert mine == [[b"x-one", b"1"]]
    assert first["headers"][0] is mine[0]
    assert len(first["headers"]) == len(second["headers"]) == 3


def _with_headers(client: Client, headers: Any, generations: int) -> ASGIApp:
    @afterword.generation(client=client)
    def answer() -> None: ...

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(generations):
            answer()
        start: Message = {"type": "http.response.start", "status": 200}
        if headers is not None:
            start["headers"] = headers()
        await send(start)
        await send({"type": "http.response.body", "body": b"hi"})

    return app


ALLOWED = (b"access-control-allow-origin", b"https://app.example.com")


BOTH = f"{DATA_ID_HEADER}, {TOKEN_HEADER}".encode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [BOTH]),
        ([b"X-One"], [b"X-One, " + BOTH]),
        ([b"X-One", b"X-Two"], [b"X-One, " + BOTH, b"X-Two"]),
        ([b"*"], [b"*, " + BOTH]),
        ([b"afterword-data-id"], [b"afterword-data-id, " + TOKEN_HEADER.encode()]),
        ([b"X-One", BOTH.lower()], [b"X-One", BOTH.lower()]),
    ],
)
async def test_pages_of_other_origins_that_cors_lets_in_may_read_both(
    client: Client, given: list[bytes], expected: list[bytes]
) -> None:
    lines = [(b"Access-Control-Expose-Headers", value) for value in given]
    app = FeedbackMiddleware(responding(client, SIZED, ALLOWED, *lines), client=client)
    start, _ = await respond(app)
    found = [value for name, value in start["headers"] if name.lower().decode() == EXPOSE]
    assert found == expected


@pytest.mark.parametrize(
    ("origin", "exposed"),
    [
        (b"https://app.example.com", True),  # a CORS middleware outside may still let it in
        (b"https://site.example", False),
        (b"http://site.example", False),
        (b"null", True),
        (None, False),
    ],
)
async def test_without_cors_of_the_app_only_other_origins_are_prepared_for(
    client: Client, origin: bytes | None, exposed: bool
) -> None:
    app = FeedbackMiddleware(responding(client, SIZED), client=client)
    start, _ = await respond(app, headers=[] if origin is None else [(b"origin", origin)])
    assert (EXPOSE.encode() in dict(start["headers"])) is exposed


async def test_nothing_is_exposed_where_nothing_is_announced(client: Client) -> None:
    app = FeedbackMiddleware(responding(client, SIZED, ALLOWED, generations=0), client=client)
    start, _ = await respond(app, headers=[(b"origin", b"https://app.example.com")])
    assert start["headers"] == [SIZED, ALLOWED]
