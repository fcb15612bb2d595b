"""API keys are canaries: whatever a run logs, prints, raises or keeps, none of them is in it."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from afterword import Client  # noqa: E402
from afterword.errors import AfterwordError  # noqa: E402
from afterword.server import create_app  # noqa: E402
from afterword.server.keys import create_key, list_keys, revoke_key  # noqa: E402
from afterword.stores import open_store  # noqa: E402
from afterword.stores.rows import GenerationRow  # noqa: E402
from api_server import serving  # noqa: E402

COMMAND = [sys.executable, "-X", "dev", "-c", "from afterword.cli.main import main; main()"]


class Heard:
    """All that was said, and the secret halves that must not be in it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.secrets: list[str] = []

    def key(self, client: Client, *scopes: str) -> tuple[str, str]:
        """A new key: its text and its ID."""
        text, key = create_key(client.store, project="bot", scopes=scopes)
        self.secrets.append(text.split("_", 2)[2])
        self.texts += [repr(key), str(key)]
        return text, key.id

    def raised(self, work: Any) -> None:
        """Hear all that a traceback of what `work` raises can show, values of variables too."""
        with pytest.raises(Exception) as caught:
            work()
        error: BaseException | None = caught.value
        while error is not None:
            frames = traceback.TracebackException.from_exception(error, capture_locals=True)
            # The test's own frames hold the key that it was given.
            del frames.stack[:2]
            self.texts += [*frames.format(), repr(error), str(error)]
            error = error.__cause__ or error.__context__

    def check(self, least: int) -> None:
        whole = "\n".join(self.texts)
        assert len(self.texts) >= least, len(self.texts)
        for secret in self.secrets:
            assert secret not in whole
            assert secret[:20] not in whole


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[Heard]:
    """Everything is logged, that of other packages too."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    heard = Heard()
    yield heard
    heard.texts += [f"{entry.getMessage()} {entry.exc_text or ''}" for entry in caplog.records]
    heard.texts.append(caplog.text)
    heard.check(20)


def test_no_key_is_in_what_a_client_and_a_server_of_one_process_say(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    origin = Client(f"sqlite:///{tmp_path}/a.db")
    good, _ = heard.key(origin, "ingest", "read", "feedback")
    weak, _ = heard.key(origin, "read")
    gone, gone_id = heard.key(origin, "admin")
    revoke_key(origin.store, gone_id)
    rows = [GenerationRow(id="a", project="bot", created_at=1)]
    with serving(create_app(origin)) as url:
        for key in (good, weak, gone, good[:-1] + "!", good + "x" * 300):
            store = open_store(url, api_key=key)
            heard.texts += [
                repr(store),
                str(vars(store)),
                store.url,
                repr(Client(url, api_key=key)),
            ]
            if key == good:
                store.write(rows, [])
            else:
                heard.raised(lambda store=store: store.write(rows, []))
            for sent in ({"Authorization": f"Bearer {key}"}, {"X-API-KEY": key}):
                for path in ("/", "/metrics", "/api/v1/generations", "/v4/projects", "/nowhere"):
                    answer = httpx.get(url + path, headers=sent)
                    heard.texts += [answer.text, str(answer.headers)]
                answer = httpx.post(f"{url}/sign-in", data={"key": key})
                heard.texts += [answer.text, str(answer.headers)]
            store.close()
        # A fault of ours, logged with its traceback.
        monkeypatch.setattr(origin.store, "generations", lambda query: 1 / 0)
        answer = httpx.get(f"{url}/api/v1/generations", headers={"X-API-KEY": good})
        assert answer.status_code == 500
        heard.texts.append(answer.text)
        store = open_store(url, api_key=good)
    heard.raised(lambda: store.write(rows, []))  # nobody listens any more
    store.close()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        store = open_store(f"http://127.0.0.1:{deaf.getsockname()[1]}", api_key=good)
        store._request_s = 0.2  # type: ignore[attr-defined]
        heard.raised(lambda: store.write(rows, []))
        store.close()
    heard.texts += [repr(list_keys(origin.store)), *capfd.readouterr()]
    for path in tmp_path.iterdir():
        if path.is_file():
            heard.texts.append(path.read_bytes().decode("latin-1"))
    origin.close()


def test_no_key_is_in_what_the_command_prints_besides_the_one_line_that_shows_it(
    heard: Heard, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"

    def run(*arguments: str) -> str:
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)
        heard.texts += [done.stderr, "" if arguments[1] == "create" else done.stdout]
        return done.stdout.strip()

    made = [
        run("keys", "create", "--url", url, "--project", "bot", "--scope", scope)
        for scope in ("ingest,read", "admin")
    ]
    heard.secrets += [key.split("_", 2)[2] for key in made]
    run("keys", "list", "--url", url)
    run("keys", "revoke", "--url", url, made[1])
    run("keys", "revoke", "--url", url, made[1] + "x")
    server = subprocess.Popen(
        [*COMMAND, "serve", "--url", url, "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    told = server.stderr.readline()
    address = re.search(r"at (http://\S+)", told)
    assert address is not None
    for key in made:
        for sent in (
            {"Authorization": f"Bearer {key}"},
            {"X-API-KEY": key},
            {"Authorization": key},
        ):
            answer = httpx.get(f"{address[1]}/api/v1/generations?after={key}", headers=sent)
            heard.texts += [str(answer.headers)]
    server.terminate()
    heard.texts.append(server.communicate(timeout=30)[1])
    program = f"""
import logging, sys, os
logging.basicConfig(level=logging.DEBUG)
from afterword import Client
from afterword.errors import AfterwordError
client = Client({address[1]!r}, spool={str(tmp_path / "spool")!r})
client.log(output="x")
client.flush(1)
print(client, client.status(), client.store)
client.get("x")
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60,
        env={"AFTERWORD_API_KEY": made[0], "PATH": "/usr/bin"},
    )  # fmt: skip
    assert "StoreUnavailable" in done.stderr
    heard.texts += [done.stdout, done.stderr]
    heard.texts += [
        path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()
    ]


def test_a_key_in_a_prompt_is_redacted_as_those_of_others_are(heard: Heard) -> None:
    client = Client("memory:")
    key, _ = heard.key(client, "read")
    data_id = client.log(inputs={"question": f"is {key} right?"}, output=key)
    assert client.flush(10)
    kept = client.get(data_id)
    assert kept is not None
    heard.texts += [repr(kept), *[""] * 20]
    assert "<redacted: api key>" in str(kept.inputs)
    assert issubclass(AfterwordError, Exception)
    client.close()
