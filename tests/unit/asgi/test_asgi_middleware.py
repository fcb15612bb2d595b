"""The middleware, on raw ASGI messages: which responses are announced, and with what."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import afterword
from afterword import Client, ConfigError
from afterword.asgi import FeedbackMiddleware, handle, tokens
from afterword.asgi.middleware import DATA_ID_HEADER, TOKEN_HEADER
from afterword.context import current_trail

pytestmark = pytest.mark.anyio

ID, TOKEN, EXPOSE = (
    b"afterword-data-id",
    b"afterword-feedback-token",
    "access-control-expose-headers",
)
SIZED = (b"content-length", b"2")


async def respond(
    app: ASGIApp, method: str = "POST", headers: Iterable[tuple[bytes, bytes]] = ()
) -> list[Message]:
    """What an app sends in answer to one request."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"site.example"), *headers],
    }
    await app(scope, receive, send)
    return sent


def responding(
    client: Client,
    *headers: tuple[bytes, bytes],
    status: int = 200,
    generations: int = 1,
    later: int = 0,
) -> ASGIApp:
    """An app that makes generations before its response starts, and others after it."""

    @afterword.generation(client=client)
    def answer() -> str:
        return "hi"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(generations):
            answer()
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for _ in range(later):
            answer()
        await send({"type": "http.response.body", "body": b"hi"})

    return app


def headers_of(messages: list[Message]) -> dict[bytes, bytes]:
    return dict(messages[0]["headers"])


async def announced(client: Client, *headers: tuple[bytes, bytes], **options: Any) -> bool:
    method = options.pop("method", "POST")
    asked = options.pop("asked", ())
    app = FeedbackMiddleware(responding(client, *headers, **options), client=client)
    found = headers_of(await respond(app, method, asked))
    assert (ID in found) == (TOKEN in found)
    return ID in found


def stored(client: Client) -> list[str]:
    client.flush()
    return [found.id for found in client.generations().items]


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


@pytest.mark.parametrize(
    ("found", "user"),
    [("ada", "ada"), (42, "42"), (0, "0"), (uuid.UUID(int=7), str(uuid.UUID(int=7))),
     (None, None), ("", None), (False, None), (True, None), (object(), None), (["ada"], None)],
)  # fmt: skip
async def test_a_user_is_text_or_a_number_or_nobody(
    client: Client, found: Any, user: str | None
) -> None:
    app = FeedbackMiddleware(
        responding(client, SIZED), client=client, user=lambda scope: found, session=lambda s: found
    )
    token = headers_of(await respond(app))[TOKEN].decode()
    said = tokens.read(token, client.keyring(), now_s=int(time.time()))
    assert said.bound is (user is not None)
    (kept,) = client.generations().items
    assert (kept.user, kept.session) == (user, user)


@pytest.mark.parametrize("found", [object(), True, ["ada"], b"ada"])
async def test_a_user_of_another_kind_is_counted_as_a_fault(client: Client, found: Any) -> None:
    app = FeedbackMiddleware(responding(client, SIZED), client=client, user=lambda scope: found)
    await respond(app)
    assert client.status().faults > 0


async def test_a_user_that_cannot_be_named_is_nobody_and_the_response_goes_out(
    client: Client,
) -> None:
    app = FeedbackMiddleware(
        responding(client, SIZED), client=client, user=lambda scope: scope["session"]["user"]
    )
    token = headers_of(await respond(app))[TOKEN].decode()
    assert not tokens.read(token, client.keyring(), now_s=int(time.time())).bound
    assert client.status().faults > 0


async def test_nobody_is_asked_for_a_user_without_a_generation(client: Client) -> None:
    asked: list[Scope] = []
    app = FeedbackMiddleware(
        responding(client, SIZED, generations=0),
        client=client,
        user=lambda scope: asked.append(scope),
        session=lambda scope: asked.append(scope),
    )
    await respond(app)
    assert not asked


async def test_two_responses_to_one_user_can_be_rated_by_the_same_rater_alone(
    client: Client,
) -> None:
    app = FeedbackMiddleware(responding(client, SIZED), client=client, user=lambda scope: "ada")
    subjects = set()
    for _ in range(2):
        token = headers_of(await respond(app))[TOKEN].decode()
        subjects.add(tokens.read(token, client.keyring(), now_s=int(time.time())).subject)
    assert len(subjects) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"user": "ada"},
        {"session": 5},
        {"token_ttl_s": 0},
        {"token_ttl_s": -1},
        {"token_ttl_s": 30 * 86_400 + 1},
        {"token_ttl_s": 0.5},
        {"token_ttl_s": True},
        {"types": "rating"},
    ],
)
async def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(ConfigError, match=next(iter(options))):
        FeedbackMiddleware(app, **options)


async def test_an_async_user_is_refused(client: Client) -> None:
    async def user(scope: Scope) -> str:
        return "ada"

    class User:
        async def __call__(self, scope: Scope) -> str:
            return "ada"

    for found in (user, User()):
        with pytest.raises(ConfigError, match="user"):
            FeedbackMiddleware(responding(client), user=found)  # type: ignore[arg-type]


async def test_the_longest_life_and_the_types_are_in_the_token(client: Client) -> None:
    app = FeedbackMiddleware(
        responding(client, SIZED), client=client, token_ttl_s=30 * 86_400, types=["rating"]
    )
    token = headers_of(await respond(app))[TOKEN].decode()
    said = tokens.read(token, client.keyring(), now_s=int(time.time()))
    assert said.types == ("rating",)
    assert said.expires_s - said.issued_s == 30 * 86_400


async def test_without_a_secret_the_id_is_announced_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client._keyring = ()
    monkeypatch.setattr(client.store, "is_local", False)  # as with a remote store
    found = headers_of(await respond(FeedbackMiddleware(responding(client, SIZED), client=client)))
    assert ID in found
    assert TOKEN not in found


async def test_a_secret_made_by_the_store_signs_the_first_response_already(tmp_path: Any) -> None:
    client = Client(f"sqlite:///{tmp_path}/afterword.db")
    assert await announced(client, SIZED)
    client.close()


async def test_a_store_that_is_away_costs_the_token_and_not_the_response(tmp_path: Any) -> None:
    (tmp_path / "folder.db").mkdir()
    client = Client(f"sqlite:///{tmp_path}/folder.db")
    start, body = await respond(FeedbackMiddleware(responding(client, SIZED), client=client))
    assert ID in dict(start["headers"])
    assert TOKEN not in dict(start["headers"])
    assert body["body"] == b"hi"
    assert client.status().faults > 0
    client.close()


UNCONFIGURED = """
import asyncio
from afterword.asgi import FeedbackMiddleware

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hi"})

async def send(message):
    print(message["type"], message.get("body"))

wrapped = FeedbackMiddleware(app, user=lambda scope: scope["user"])
scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
asyncio.run(wrapped(scope, None, send))
"""


async def test_bad_configuration_in_the_environment_never_reaches_the_response() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNCONFIGURED],
        env={**os.environ, "AFTERWORD_SECRET": "no colon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "http.response.start None\nhttp.response.body b'hi'\n"


async def test_a_token_that_would_be_too_long_costs_the_token_alone(client: Client) -> None:
    app = FeedbackMiddleware(responding(client, SIZED), client=client, types=["x" * 60] * 6)
    found = headers_of(await respond(app))
    assert ID in found
    assert TOKEN not in found


async def test_a_websocket_gets_the_options_of_the_middleware_and_a_trail_of_its_own(
    client: Client,
) -> None:
    handed: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert current_trail() is None
        with afterword.trail():
            handed.append(handle()["token"])

    async def unused(*message: Any) -> Any:
        raise AssertionError

    wrapped = FeedbackMiddleware(app, client=client, types=["rating"])
    await wrapped({"type": "websocket"}, unused, unused)
    said = tokens.read(handed[0], client.keyring(), now_s=int(time.time()))
    assert (said.project, said.types) == ("web", ("rating",))


async def test_a_trail_opened_in_a_request_keeps_the_options_of_the_middleware(
    client: Client,
) -> None:
    handed: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with afterword.trail(user="ada"):
            handed.append(handle()["token"])

    await respond(FeedbackMiddleware(app, client=client, types=["rating"], token_ttl_s=60))
    said = tokens.read(handed[0], client.keyring(), now_s=int(time.time()))
    assert (said.types, said.bound, said.expires_s - said.issued_s) == (("rating",), True, 60)


async def test_what_an_app_raises_passes_as_it_is_and_nothing_stays_behind(client: Client) -> None:
    error = RuntimeError("no")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with pytest.raises(RuntimeError) as caught:
        await respond(FeedbackMiddleware(app, client=client))
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert current_trail() is None


async def test_an_error_of_the_server_on_send_is_seen_and_passed_on(client: Client) -> None:
    trails: list[Any] = []
    error = OSError("gone")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        trails.append(current_trail())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise error

    with pytest.raises(OSError, match="gone") as caught:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await FeedbackMiddleware(app, client=client)(scope, receive, send)
    assert caught.value is error
    assert trails[0].client_gone
    assert trails[0].done


async def test_a_generation_after_the_response_is_not_in_its_trail(client: Client) -> None:
    trails: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        trails.append(current_trail())
        await send({"type": "http.response.start", "status": 200, "headers": [SIZED]})
        await send({"type": "http.response.body", "body": b"hi"})

    await respond(FeedbackMiddleware(app, client=client))
    with afterword.trail() as own:

        @afterword.generation(client=client)
        def later() -> None: ...

        later()
    assert len(own.data_ids) == 1
    assert trails[0].data_ids == []
