"""What was dropped or refused is told on the Logs pages and in the metrics, with exact counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from server_calls import HOST, log
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.delivery.dead_letters import DeadLetters
from afterword.model import Status
from afterword.server import create_app
from afterword.server.keys import create_key, revoke_key

WAIT_S = 20.0
POISON = """
CREATE TRIGGER poison BEFORE INSERT ON generations WHEN NEW.name = 'poison'
BEGIN SELECT RAISE(ABORT, 'no poison in here'); END
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    client = Client(f"sqlite:///{tmp_path}/logs.db", "bot")
    client.store.open()
    yield client
    client.close()


@contextmanager
def connected(client: Client) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(client.url.removeprefix("sqlite:///"))
    try:
        yield connection
    finally:
        connection.close()


def letters_of(client: Client) -> DeadLetters:
    letters = client.recorder.dispatch.dead_letters
    assert letters is not None
    return letters


def refuse(client: Client, count: int) -> None:
    """Let the store refuse some records, for real."""
    with connected(client) as connection:
        connection.execute(POISON)
        for _ in range(count):
            client.log(name="poison", output="x")
        client.flush(WAIT_S)
        connection.execute("DROP TRIGGER poison")


def metrics(web: TestClient) -> dict[str, int]:
    response = web.get("/metrics")
    assert response.status_code == 200
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def holds(found: dict[str, int], status: Status) -> bool:
    """The law of conservation, in the metrics as in the status."""
    places = ("stored_total", "buffered", "spooled", "dead_lettered", "dropped_total")
    told = [found[f"afterword_records_{place}"] for place in places]
    kept = [getattr(status, place.removesuffix("_total")) for place in places]
    captured = found["afterword_records_captured_total"]
    return told == kept and captured == sum(told) == status.captured


def test_no_banner_says_that_nothing_was_lost(plain_web: TestClient, client: Client) -> None:
    data_id = log(client)
    client.faults.note("a fault that lost nothing", ValueError())
    for path in ("/", f"/generations/{data_id}"):
        assert 'class="banner"' not in plain_web.get(path).text


def test_a_banner_on_every_page_counts_what_the_store_refused(
    plain_web: TestClient, client: Client
) -> None:
    data_id = log(client)
    refuse(client, 2)
    assert client.status().dead_lettered == 2
    told = "2 dead-lettered since this process started. 2 dead letters wait in the spool"
    for path in ("/", f"/generations/{data_id}"):
        assert told in plain_web.get(path).text


def test_letters_of_processes_that_ended_are_counted_until_they_are_gone(
    client: Client, plain_web: TestClient
) -> None:
    data_id = log(client)
    refuse(client, 1)
    later = Client(client.url, "bot")
    web = TestClient(create_app(later), base_url=HOST)
    page = web.get("/").text
    assert "1 dead letter waits in the spool" in page
    assert "Not everything was logged" not in page
    for letter in letters_of(client).all():
        letters_of(client).drop(letter.name)
    assert 'class="banner"' not in web.get(f"/generations/{data_id}").text
    assert "1 dead-lettered since" in plain_web.get("/").text
    later.close()


def test_what_was_dropped_is_counted(
    plain_web: TestClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.recorder, "_shed_rows", 1200)
    assert "Not everything was logged: 1,200 dropped since" in plain_web.get("/").text
    assert metrics(plain_web)["afterword_records_dropped_total"] == 1200


def test_the_metrics_count_what_waits_while_the_store_is_locked(
    plain_web: TestClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterword.stores.sqlite_files.BUSY_TIMEOUT_S", 0.05)
    data_id = log(client)
    refuse(client, 1)
    with connected(client) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            log(client)
        assert client.feedback(data_id, "rating", "good").pending
        assert client.flush(WAIT_S)
        found = metrics(plain_web)
        assert holds(found, client.status())
        assert found["afterword_records_captured_total"] == 6
        assert found["afterword_records_spooled"] == 4
        assert found["afterword_records_dead_lettered"] == 1
        assert found["afterword_spool_segments"] == 1
        assert found["afterword_spool_dead_letters"] == 1
        assert found["afterword_spool_damaged"] == 0
        assert found["afterword_spool_bytes"] > 400
        connection.execute("ROLLBACK")
    assert client.flush(WAIT_S)
    found = metrics(plain_web)
    assert holds(found, client.status())
    assert found["afterword_records_stored_total"] == 5
    assert found["afterword_records_spooled"] == 0


def test_the_metrics_are_answered_while_a_remote_store_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERWORD_SPOOL", str(tmp_path))
    client = Client("http://127.0.0.1:9", "bot")
    web = TestClient(create_app(client), base_url=HOST)
    for _ in range(5):
        client.log(output="x")
    assert client.flush(WAIT_S)
    found = metrics(web)
    assert holds(found, client.status())
    assert found["afterword_records_spooled"] == found["afterword_records_captured_total"] == 5
    assert found["afterword_spool_bytes"] > 300
    client.close()


def test_the_metrics_of_a_store_in_memory_have_an_empty_spool() -> None:
    client = Client("memory:")
    client.log(output="x")
    assert client.flush(WAIT_S)
    found = metrics(TestClient(create_app(client), base_url=HOST))
    assert holds(found, client.status())
    assert found["afterword_spool_bytes"] == 0
    client.close()


def test_while_the_store_is_away_the_metrics_are_for_whom_they_were_before(
    client: Client, tmp_path: Path
) -> None:
    key, _ = create_key(client.store, project=None, scopes=["read"])
    app = create_app(client)
    web = TestClient(app, base_url=HOST)
    good, bad = ({"X-API-KEY": given} for given in (key, f"{key}x"))

    def status(headers: dict[str, str]) -> int:
        return web.get("/metrics", headers=headers).status_code

    assert (status(good), status(bad), status({})) == (200, 401, 401)
    client.store.close()
    path = tmp_path / "logs.db"
    kept = path.read_bytes()
    path.write_bytes(b"something else entirely, and no database" * 30)
    app.state.gate.book._read_s = float("-inf")
    assert (status(good), status(bad), status({})) == (200, 503, 503)
    path.write_bytes(kept)
    assert (status(good), status(bad), status({})) == (200, 401, 401)
    assert revoke_key(client.store, key) is not None
    app.state.gate.book._read_s = float("-inf")
    assert status(good) == 401
    client.store.close()
    path.write_bytes(b"something else entirely, and no database" * 30)
    app.state.gate.book._read_s = float("-inf")
    assert status(good) == 503
    path.write_bytes(kept)
