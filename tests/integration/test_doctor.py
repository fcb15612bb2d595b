"""The doctor names the first broken link of a loop that runs for real."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import apsw
import pytest
import uvicorn
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, feedback_routes
from afterword.cli.program import program
from afterword.delivery.dead_letters import DeadLetters
from afterword.delivery.files import RealFiles
from afterword.delivery.frames import Spooled
from afterword.delivery.spool import Spool
from afterword.stores.rows import GenerationRow

SITE = "https://shop.example"
SECRET = "k1:0123456789abcdef0123456789abcdef"
WAIT_S = 20


class Stripped:
    """A proxy in the way that lets some headers of answers pass, and not others."""

    def __init__(self, app: ASGIApp, *names: bytes) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    pair for pair in message["headers"] if pair[0].lower() not in self.names
                ]
            await send(message)

        await self.app(scope, receive, sent)


def app_of(
    client: Client,
    *,
    middleware: bool = True,
    routes: bool = True,
    types: Any = None,
    origins: tuple[str, ...] = (),
    allowed: tuple[str, ...] = (),
) -> ASGIApp:
    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    async def chat(request: Request) -> JSONResponse:
        return JSONResponse({"answer": answer("what?")})

    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("no model here")

    mounted = [Mount("/feedback", routes=feedback_routes(origins, client=client))]
    app: ASGIApp = Starlette(
        routes=[
            Route("/chat", chat, methods=["GET", "POST"]),
            Route("/plain", plain),
            *(mounted if routes else []),
        ],
        middleware=[Middleware(CORSMiddleware, allow_origins=allowed)] if allowed else [],
    )
    return FeedbackMiddleware(app, types=types, client=client) if middleware else app


@contextmanager
def served(app: ASGIApp) -> Generator[str]:
    listener = create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        listener.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'afterword.db'}"


@pytest.fixture
def client(url: str) -> Generator[Client]:
    client = Client(url, secret=SECRET)
    yield client
    client.close()


@pytest.fixture
def spooling(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(program, ["doctor", *arguments])


def test_a_whole_loop_holds_and_the_rating_is_retracted(client: Client, url: str) -> None:
    with served(app_of(client)) as site:
        result = doctor(f"{site}/chat", "--url", url)
    assert result.exit_code == 0, result.output
    links = [line[6:].partition(":")[0] for line in result.output.splitlines() if line[:2] == "ok"]
    assert links == [
        "spool", "store", "probe", "counters", "app", "data ID", "token", "feedback", "read back",
        "in this store", "retracted",
    ]  # fmt: skip
    newest = client.generations(project="default").items[0]
    assert newest.output == "WHAT?"
    assert newest.feedback == []
    assert [said.value for said in newest.feedback_history] == ["good", None]


def test_secrets_are_masked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERWORD_SECRET", SECRET)
    monkeypatch.setenv("AFTERWORD_API_KEY", "very-secret-key")
    result = doctor("--url", url)
    assert result.exit_code == 0, result.output
    assert "k1:********" in result.output
    assert "0123456789abcdef" not in result.output
    assert "very-secret-key" not in result.output
    assert "SQLite 3." in result.output
    assert "journal wal" in result.output


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hidden-word@127.0.0.1:9/x",
        "postgresql://127.0.0.1:9/x?user=me&password=hidden-word&connect_timeout=1",
    ],
)
def test_a_password_in_the_url_is_masked_wherever_it_stands(url: str) -> None:
    result = doctor("--url", url)
    assert broken(result).startswith("store: ")
    assert "AFTERWORD_URL: postgresql://" in result.output
    assert "hidden-word" not in result.output


def test_the_probe_leaves_nothing(client: Client, url: str) -> None:
    assert doctor("--url", url).exit_code == 0
    assert client.generations(project="afterword-doctor").items == []


def broken(result: Result) -> str:
    assert result.exit_code == 1, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("BROKEN")]
    assert len(lines) >= 1, result.output
    return lines[0][6:]


def test_a_missing_middleware_is_named(client: Client, url: str) -> None:
    with served(app_of(client, middleware=False)) as site:
        found = broken(doctor(f"{site}/chat", "--url", url))
    assert found.startswith("data ID: a generation was recorded")
    assert "FeedbackMiddleware is missing" in found


def test_an_endpoint_without_a_generation_is_named(client: Client, url: str) -> None:
    with served(app_of(client)) as site:
        found = broken(doctor(f"{site}/plain", "--url", url))
    assert "calls no decorated function" in found


@pytest.mark.parametrize(
    ("stripped", "link"),
    [(b"afterword-data-id", "data ID"), (b"afterword-feedback-token", "token")],
)
def test_a_stripped_header_is_named(client: Client, url: str, stripped: bytes, link: str) -> None:
    with served(Stripped(app_of(client), stripped)) as site:
        found = broken(doctor(f"{site}/chat", "--url", url))
    assert found.startswith(f"{link}: ")
    assert "stripped" in found


def test_routes_that_are_not_mounted_are_named(client: Client, url: str) -> None:
    with served(app_of(client, routes=False)) as site:
        found = broken(doctor(f"{site}/chat", "--url", url))
    assert "feedback_routes() are not mounted" in found


def test_workers_with_different_secrets_are_named(client: Client, url: str) -> None:
    other = Client(url, secret="k1:another-secret-of-32-characters")
    routes = Mount("/feedback", routes=feedback_routes(client=other))

    async def chat(request: Request) -> JSONResponse:
        client.log(output="x")
        return JSONResponse(answer())

    @afterword.generation(client=client)
    def answer() -> str:
        return "x"

    app = FeedbackMiddleware(Starlette(routes=[Route("/chat", chat), routes]), client=client)
    with served(app) as site:
        found = broken(doctor(f"{site}/chat", "--url", url))
    other.close()
    assert "403" in found
    assert "AFTERWORD_SECRET" in found


def test_another_store_is_named_and_the_rating_still_retracted(
    client: Client, url: str, tmp_path: Path
) -> None:
    with served(app_of(client)) as site:
        result = doctor(f"{site}/chat", "--url", f"sqlite:///{tmp_path / 'other.db'}")
    assert broken(result).startswith("in this store: ")
    assert client.generations(project="default").items[0].feedback == []


def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "afterword.db").write_bytes(b"something else entirely, and no database" * 30)
    found = broken(doctor("--url", f"sqlite:///{tmp_path / 'afterword.db'}"))
    assert found.startswith("store: ")


def test_an_app_that_does_not_answer_is_named(url: str) -> None:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = broken(doctor(f"http://127.0.0.1:{port}/chat", "--url", url))
    assert found.startswith("app: ")
    assert "does not answer" in found


def test_cross_origin_access_is_checked_when_asked(client: Client, url: str) -> None:
    with served(app_of(client, allowed=(SITE,), origins=(SITE,))) as site:
        result = doctor(f"{site}/chat", "--url", url, "--origin", SITE)
        assert result.exit_code == 0, result.output
    with served(app_of(client, allowed=(SITE,))) as site:
        assert "origins=" in broken(doctor(f"{site}/chat", "--url", url, "--origin", SITE))
    with served(app_of(client, origins=(SITE,))) as site:
        found = broken(doctor(f"{site}/chat", "--url", url, "--origin", SITE))
        assert "CORSMiddleware" in found


def test_a_limit_on_types_is_named(client: Client, url: str) -> None:
    with served(app_of(client, types=("comment",))) as site:
        result = doctor(f"{site}/chat", "--url", url)
    assert broken(result).startswith("feedback: ")


def test_a_missing_secret_is_named(url: str, spooling: Path) -> None:
    keyless = Client("http://127.0.0.1:9", spool=str(spooling))
    with served(app_of(keyless)) as site:
        found = broken(doctor(f"{site}/chat", "--url", url))
    keyless.close()
    assert found.startswith("token: the app has no secret")


def test_an_app_whose_store_is_away_is_named(url: str, spooling: Path) -> None:
    away = Client("http://127.0.0.1:9", secret=SECRET, spool=str(spooling))
    with served(app_of(away)) as site:
        result = doctor(f"{site}/chat", "--url", url)
    away.close()
    found = broken(result)
    assert found.startswith("read back: the app cannot read its store, which is away")
    assert "retracted: the rating is taken back" in result.output


def test_a_server_that_is_away_is_named() -> None:
    found = broken(doctor("--url", "http://127.0.0.1:9"))
    assert found.startswith("store: cannot reach http://127.0.0.1:9")


def test_a_store_that_takes_no_writes_is_named(
    client: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterword.stores.sqlite_files.BUSY_TIMEOUT_S", 0.1)
    client.store.open()
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    connection.execute("BEGIN IMMEDIATE")
    found = broken(doctor("--url", url))
    connection.close()
    assert found.startswith("probe: the store takes no writes now")


def test_the_spool_and_what_is_in_it_are_told_and_not_touched(url: str, tmp_path: Path) -> None:
    spool = tmp_path / "afterword.db-spool"
    assert f"spool: {spool} (nothing has had to wait yet)" in doctor("--url", url).output
    assert not spool.exists()
    spool.mkdir(mode=0o700)
    files = RealFiles(str(spool))
    DeadLetters(files).put(b"whatever", "refused")
    (spool / "1-2-a.seg.7.damaged").write_bytes(b"damage")
    waiting = Spool(files)
    waiting.append(
        [Spooled(generation=GenerationRow(id="g", project="p", created_at=1))], sync=True
    )
    size_bytes = (spool / waiting.retire().pop()).stat().st_size
    told = f"{size_bytes} bytes in 1 segments, 1 dead letters, 1 damaged pieces"
    result = doctor("--url", url)
    assert result.exit_code == 0, result.output
    assert f"{told}; see afterword dead-letters list" in result.output
    assert len(list(spool.iterdir())) == 3
    waiting.release()


def test_a_spool_that_may_not_be_used_is_named_and_the_rest_is_tried(
    url: str, tmp_path: Path
) -> None:
    spool = tmp_path / "afterword.db-spool"
    spool.mkdir()
    spool.chmod(0o777)
    result = doctor("--url", url)
    assert "chmod 700" in broken(result)
    assert "the first broken link is: spool" in result.output
    assert "ok    probe: written, read and erased" in result.output


def test_a_store_in_memory_has_no_spool_on_disk() -> None:
    result = doctor("--url", "memory:")
    assert result.exit_code == 0, result.output
    assert "spool: none on disk" in result.output


def test_what_the_environment_says_of_delivery_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch, spooling: Path
) -> None:
    assert "AFTERWORD_DURABILITY: normal" in doctor("--url", url).output
    monkeypatch.setenv("AFTERWORD_SPOOL", str(spooling))
    monkeypatch.setenv("AFTERWORD_DURABILITY", "strict")
    result = doctor("--url", url)
    assert f"AFTERWORD_SPOOL: {spooling}" in result.output
    assert "AFTERWORD_DURABILITY: strict" in result.output
    assert f"spool: {spooling}/sqlite-afterword.db-" in result.output


def test_erase_removes_a_user_and_says_how_much(client: Client, url: str) -> None:
    data_id = client.log(output="x", user="ann")
    assert client.flush(WAIT_S)
    result = CliRunner().invoke(program, ["erase", "--user", "ann", "--url", url])
    assert (result.exit_code, result.output) == (0, "1 records erased\n")
    assert client.get(data_id) is None
