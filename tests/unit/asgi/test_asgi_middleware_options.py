"""The middleware: its options, and what it does when something of ours or of the app fails."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import uuid
import weakref
from typing import Any

import anyio
import pytest
from raw_requests import ID, SIZED, TOKEN, headers_of, respond, responding
from starlette.types import Message, Receive, Scope, Send

import afterword
from afterword import Client, ConfigError
from afterword.asgi import FeedbackMiddleware, handle, tokens
from afterword.asgi.issuing import get_issuer
from afterword.context import current_trail

pytestmark = pytest.mark.anyio


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


async def test_the_shortest_life_is_a_second(client: Client) -> None:
    assert FeedbackMiddleware(responding(client), token_ttl_s=1)


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
    client._keyring._keys = ()
    monkeypatch.setattr(client.store, "is_local", False)  # as with a remote store
    found = headers_of(await respond(FeedbackMiddleware(responding(client, SIZED), client=client)))
    assert ID in found
    assert TOKEN not in found


async def test_a_secret_made_by_the_store_signs_the_first_response_already(tmp_path: Any) -> None:
    client = Client(f"sqlite:///{tmp_path}/afterword.db")
    app = FeedbackMiddleware(responding(client, SIZED), client=client)
    assert TOKEN in headers_of(await respond(app))
    client.close()


async def test_a_store_that_hangs_holds_a_response_for_half_a_second_at_most(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(f"sqlite:///{tmp_path}/afterword.db")
    release = threading.Event()

    def hanging(name: str, make: Any) -> str:
        release.wait(20)
        return str(make())

    monkeypatch.setattr(client.store, "setting", hanging)
    app = FeedbackMiddleware(responding(client, SIZED), client=client)
    with anyio.fail_after(10):
        found = headers_of(await respond(app))
    assert ID in found
    assert TOKEN not in found
    release.set()
    with anyio.fail_after(10):
        while TOKEN not in headers_of(await respond(app)):
            await anyio.lowlevel.checkpoint()
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


async def test_a_client_that_leaves_is_noted_on_the_trail(client: Client) -> None:
    trails: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        trails.append(current_trail())
        await receive()
        assert not trails[0].client_gone
        await receive()

    messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request"}]

    async def receive() -> Message:
        return messages.pop()

    async def send(message: Message) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await FeedbackMiddleware(app, client=client)(scope, receive, send)
    assert trails[0].client_gone


async def test_the_options_of_an_outer_app_are_back_after_an_inner_one(client: Client) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None: ...

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        around = get_issuer()
        await FeedbackMiddleware(inner, client=client)(scope, receive, send)
        assert get_issuer() is around is not None

    await respond(FeedbackMiddleware(outer, client=client))
    assert get_issuer() is None


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


async def test_a_request_is_let_go_of_without_the_garbage_collector(client: Client) -> None:
    """Its trail holds on to the request, and a busy server makes thousands of them a second."""
    held: list[weakref.ref[Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        held.append(weakref.ref(current_trail()))
        await responding(client, SIZED)(scope, receive, send)

    whole = FeedbackMiddleware(app, client=client, user=lambda scope: scope["path"])
    gc.disable()
    try:
        await respond(whole)
        client.flush()
        assert [found() for found in held] == [None]
    finally:
        gc.enable()
