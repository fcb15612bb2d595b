"""The remote store against servers that are away, slow, lying or not ours."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from afterword.client import Client  # noqa: E402
from afterword.errors import (  # noqa: E402
    ConfigError,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreTooLarge,
    StoreUnavailable,
)
from afterword.ids import new_id  # noqa: E402
from afterword.server import create_app  # noqa: E402
from afterword.server.keys import create_key, revoke_key  # noqa: E402
from afterword.stores import http, open_store  # noqa: E402
from afterword.stores.http import HttpStore  # noqa: E402
from afterword.stores.remote import MEDIA_TYPE  # noqa: E402
from afterword.stores.rows import GenerationRow  # noqa: E402
from api_server import serving  # noqa: E402


@contextmanager
def answering(*parts: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """A server that sends these bytes to whoever asks, with pauses between; then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                received = connection.recv(65_536)
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65_536)
                # What is left unread when it hangs up would make the system drop the answer, too.
                head, _, body = received.partition(b"\r\n\r\n")
                left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
                while left > 0:
                    left -= len(connection.recv(65_536))
                for part in parts:
                    connection.sendall(part)
                    if over.wait(pause_s):
                        break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def reply(status: str, body: bytes = b"", kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}"
    return f"{head}Connection: close\r\n\r\n".encode() + body


NOT_OURS = {
    "captive portal": reply("200 OK", b"<html>Log in", "text/html"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "json of another": reply("200 OK", b"{}"),
    "redirect": reply("302 Found", more="Location: http://127.0.0.1:1/\r\n"),
    "permanent redirect": reply("308 Permanent Redirect", more="Location: https://x.example/\r\n"),
    "bad gateway": reply("502 Bad Gateway", b"<html>", "text/html"),
    "refused by a proxy": reply("403 Forbidden", b"<html>", "text/html"),
    "not found": reply("404 Not Found", b'{"detail":"Not Found"}'),
    "bad request of a proxy": reply("400 Bad Request", b"nonsense", "text/plain"),
    "half an answer": reply("200 OK", b"\x81", MEDIA_TYPE),
    "another answer": reply("200 OK", b"\x81\xa6result\xa3abc", MEDIA_TYPE),
    "cut short": reply("200 OK", b"\x81", MEDIA_TYPE).replace(b"Length: 1", b"Length: 9"),
    "not HTTP": b"SSH-2.0-OpenSSH_9\r\n",
    "nothing": b"",
    "compressed": reply("200 OK", b"\x80", MEDIA_TYPE, "Content-Encoding: gzip\r\n"),
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_an_answer_that_is_no_acknowledgement_is_a_store_that_is_away(name: str) -> None:
    with answering(NOT_OURS[name]) as url:
        store = open_store(url)
        with pytest.raises(StoreUnavailable) as caught:
            store.write([GenerationRow(id="a", project="p", created_at=1)], [])
        assert url in str(caught.value)
        store.close()


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_server_that_refuses_the_key_is_told_from_one_that_is_away(status: str) -> None:
    with answering(reply(status, b'{"detail":"The API key is not valid"}')) as url:
        store = open_store(url)
        with pytest.raises(StoreRefused, match="The API key is not valid"):
            store.write([GenerationRow(id="a", project="p", created_at=1)], [])
        store.close()


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_a_batch_that_is_too_large_is_told_from_one_that_is_wrong(kind: str) -> None:
    with answering(reply("413 Content Too Large", b'{"detail":"too large"}', kind)) as url:
        store = open_store(url)
        with pytest.raises(StoreTooLarge, match="answered 413"):
            store.write([GenerationRow(id="a", project="p", created_at=1)], [])
        store.close()


def test_nobody_is_told_to_wait_for_longer_than_a_quarter_of_an_hour() -> None:
    busy = reply("503 Service Unavailable", b"", more="Retry-After: 1000000000\r\n")
    with answering(busy) as url:
        store = open_store(url)
        with pytest.raises(StoreBusy) as caught:
            store.projects()
        assert caught.value.retry_after_s == 900.0
        store.close()


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_server_that_is_busy_says_when_to_come_back(status: str) -> None:
    with answering(reply(status, b'{"detail":"later"}', more="Retry-After: 7\r\n")) as url:
        store = open_store(url)
        with pytest.raises(StoreBusy) as caught:
            store.projects()
        assert caught.value.retry_after_s == 7.0
        store.close()


def test_a_record_that_the_server_refuses_is_the_records_fault() -> None:
    with answering(reply("422 Unprocessable Content", b'{"detail":"id: no","errors":[]}')) as url:
        store = open_store(url)
        with pytest.raises(StoreError) as caught:
            store.write([GenerationRow(id="a", project="p", created_at=1)], [])
        assert type(caught.value) is StoreError
        store.close()


SLOW = {
    "headers a byte at a time": (b"HTTP/1.1 200 OK\r\n", *[b"A"] * 200),
    "a body a byte at a time": (reply("200 OK", b"", MEDIA_TYPE).replace(b": 0", b": 500"), *[b"x"] * 200),
    "silence": (b"", *[b""] * 200),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_a_request_is_over_within_its_whole_time_however_the_server_trickles(name: str) -> None:
    with answering(*SLOW[name], pause_s=0.05) as url:
        store = HttpStore(url, request_s=0.4)
        started_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="did not answer within"):
            store.projects()
        assert time.monotonic() - started_s < 2
        store.close()


def test_a_server_that_never_reads_is_given_up() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    store = HttpStore(f"http://127.0.0.1:{listener.getsockname()[1]}", request_s=0.4)
    started_s = time.monotonic()
    rows = [GenerationRow(id=new_id(), project="p", created_at=1, output=f'"{new_id() * 9_000}"')]
    with pytest.raises(StoreUnavailable):
        store.write(rows * 30, [])
    assert time.monotonic() - started_s < 5
    store.close()
    listener.close()


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REPLY_BYTES", 1_000)
    endless = reply("200 OK", b"", MEDIA_TYPE).replace(b"Content-Length: 0\r\n", b"")
    with answering(endless, *[b"x" * 600] * 9) as url:
        store = open_store(url)
        with pytest.raises(StoreUnavailable, match="longer than"):
            store.projects()
        store.close()


def test_nobody_listening_is_a_store_that_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    store = open_store(url)
    with pytest.raises(StoreUnavailable, match="cannot reach"):
        store.open()
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x",
        "https://key@host",
        "http://host?x=1",
        "http://host:99999",
        "http://a b",
    ],
)
def test_a_url_that_is_no_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_store(url)


def test_the_key_is_in_no_error_and_no_repr() -> None:
    with answering(reply("401 Unauthorized", b'{"detail":"no"}')) as url:
        store = open_store(url, api_key="awk_canary")
        with pytest.raises(StoreUnavailable) as caught:
            store.projects()
        assert (
            "canary"
            not in f"{caught.value} {store!r} {store.url} {Client(url, api_key='awk_canary')!r}"
        )
        store.close()


def test_a_client_of_a_server_is_as_a_client_of_its_store(tmp_path: Path) -> None:
    origin = Client(f"sqlite:///{tmp_path}/a.db")
    text, key = create_key(origin.store, project="bot", scopes=["ingest", "read", "feedback"])
    with serving(create_app(origin)) as url:
        client = Client(url, api_key=text)
        data_id = client.log(inputs={"q": b"bytes"}, output=float("inf"), user="ann")
        assert client.flush(10)
        given = client.feedback(data_id, "rating", "bad", comment="vague")
        assert given.project == "bot"
        found = client.get(data_id)
        assert found is not None
        assert (found.project, found.inputs, found.output) == ("bot", {"q": b"bytes"}, float("inf"))
        assert [said.comment for said in found.feedback] == ["vague"]
        page = client.generations(feedback={"rating": "bad"}, sentiment="negative")
        assert [item.id for item in page.items] == [data_id]
        client.alias("message 7", data_id)
        assert client.feedback("message 7", "action", "copied").data_id == data_id
        client.feedback_type("stars", "number", minimum=1, maximum=5)
        assert client.feedback(data_id, "stars", 4).value == 4
        assert client.projects() == ["bot", "default"]
        revoke_key(origin.store, key.id)
        client.close()
    assert origin.store.projects() == ["bot"]
    origin.close()


def test_a_key_for_one_project_reaches_no_other_through_the_store(tmp_path: Path) -> None:
    origin = Client(f"sqlite:///{tmp_path}/a.db")
    origin.log(project="other", data_id="theirs", output="secret", user="ann")
    origin.feedback("theirs", "rating", "bad")
    origin.alias("message 7", "theirs")
    origin.store.put_document("note", "other", "one", '"secret"')
    assert origin.flush(10)
    text, _ = create_key(origin.store, project="bot", scopes=["admin"])
    with serving(create_app(origin)) as url:
        store = open_store(url, api_key=text)
        assert store.generation("theirs") is None
        assert store.generation("theirs", "other") is None
        assert store.history(["theirs"], "other") == []
        assert store.by_ids(["theirs"]) == []
        assert store.project_of("theirs") is None
        assert store.resolve("message 7", "other") is None
        assert store.document("note", "other", "one") is None
        assert store.documents("note") == []
        assert store.documents("api_key") == []
        with pytest.raises(StoreUnavailable, match="403"):
            store.put_document("api_key", "bot", "x", "{}")
        origin.store.setting("feedback_secret", lambda: "the server's")
        assert store.setting("feedback_secret", lambda: "mine") == "mine"
        assert store.erase("ann", "other") == 0
        store.write([GenerationRow(id="theirs", project="other", created_at=1)], [])
        assert store.projects() == ["bot"]
        store.close()
    kept = origin.store.generation("theirs", "other")
    assert kept is not None
    assert kept.output == '"secret"'
    assert origin.store.generation("theirs", "bot") is not None
    origin.close()


BAD_ROWS = [
    {"id": "a b"}, {"project": "/"}, {"status": "fine"}, {"output": "{"}, {"output": '{"$bytes": 3}'},
    {"created_at": 1 << 62}, {"metadata": ""},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD_ROWS, ids=str)
def test_a_row_that_no_client_writes_is_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    origin = Client(f"sqlite:///{tmp_path}/a.db")
    with serving(create_app(origin)) as url:
        store = open_store(url)
        good = GenerationRow(id="good", project="p", created_at=1)
        bad = GenerationRow(**{"id": "a", "project": "p", "created_at": 1, **fields})
        with pytest.raises(StoreError) as caught:
            store.write([good, bad], [])
        assert type(caught.value) is StoreError
        assert f"generations[1].{next(iter(fields))}" in str(caught.value)
        assert store.generation("good") is None
        store.close()
    origin.close()


def test_a_large_batch_goes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_BYTES", 10_000)
    origin = Client(f"sqlite:///{tmp_path}/a.db")
    with serving(create_app(origin)) as url:
        store = open_store(url)
        rows = [
            GenerationRow(id=new_id(), project="p", created_at=1, output='"' + "x" * 900 + '"')
            for _ in range(50)
        ]
        store.write(rows, [])
        assert len(origin.store.by_ids([row.id for row in rows])) == 50
        store.close()
    origin.close()
