"""PostgreSQL: servers that start at once, restarts, cut connections, concurrent raters, retention."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "contract" / "stores"))

from store_rows import feedback, generation  # noqa: E402

from afterword import Client  # noqa: E402
from afterword.errors import ConfigError, StoreTooNew, StoreUnavailable  # noqa: E402
from afterword.ids import new_id  # noqa: E402
from afterword.stores import open_store  # noqa: E402
from afterword.stores.postgres import PostgresStore  # noqa: E402
from afterword.stores.protocol import Query  # noqa: E402
from afterword.stores.retention import stop  # noqa: E402
from postgres_server import PostgresServer, new_database  # noqa: E402

MONTH = {
    month: int(datetime(2026, month, 10, tzinfo=UTC).timestamp()) * 1_000_000 for month in (1, 2, 3)
}


def opened(url: str) -> PostgresStore:
    store = open_store(url)
    assert isinstance(store, PostgresStore)
    return store


@pytest.fixture
def url() -> str:
    return new_database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = opened(url)
    yield store
    store.close()


def test_many_processes_that_start_at_once_make_one_schema(url: str) -> None:
    program = (
        "import sys; from afterword.stores import open_store; store = open_store(sys.argv[1]); "
        "store.open(); print(store.facts()['schema']); store.close()"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(6)
    ]
    ended = [process.communicate(timeout=60) for process in started]
    assert [error for _, error in ended] == [b""] * 6
    assert len({output for output, _ in ended}) == 1


def test_an_older_program_refuses_a_newer_schema_and_changes_nothing(url: str) -> None:
    first = opened(url)
    first.open()
    first.close()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE afterword_schema SET version = 99")
    second = opened(url)
    with pytest.raises(StoreTooNew):
        second.write([generation()], [])
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM generations").fetchone() == (0,)
    second.close()


def test_cut_connections_are_made_anew(store: PostgresStore, url: str) -> None:
    row = generation()
    store.write([row], [])
    for _ in range(3):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'afterword' AND datname = current_database()"
            )
        assert store.generation(row.id) == row
        other = generation()
        store.write([other], [])
        assert store.generation(other.id) == other


def test_a_restart_loses_nothing_and_doubles_nothing() -> None:
    server = PostgresServer()
    try:
        client = Client(new_database(server.url))
        before = client.log(output="before")
        assert client.flush(20)
        server.stop()
        with pytest.raises(StoreUnavailable):
            client.store.projects()
        during = [client.log(output=f"during {number}") for number in range(50)]
        server.start()
        assert client.flush(60)
        kept = [row.id for row in client.store.generations(Query(limit=500))]
        assert sorted(kept) == sorted([before, *during])
        client.feedback(data_id=before, type="rating", value="good")
        client.close()
    finally:
        server.remove()


def test_no_password_is_shown() -> None:
    with_password = "postgresql://someone:very-secret@127.0.0.1:1/db"
    store = opened(with_password)
    assert "very-secret" not in store.url
    with pytest.raises(StoreUnavailable) as raised:
        store.open()
    assert "very-secret" not in str(raised.value)
    assert "127.0.0.1" in str(raised.value)
    store.close()
    with pytest.raises(ConfigError) as refused:
        open_store("postgresql://someone:very-secret@[host/db")
    assert "very-secret" not in str(refused.value)


def test_concurrent_raters_leave_one_current_value_each(url: str) -> None:
    stores = [opened(url) for _ in range(3)]
    data_ids = [new_id() for _ in range(4)]
    stores[0].write([generation(data_id) for data_id in data_ids[:2]], [])

    def rate(number: int) -> None:
        value = ("good", "bad")[number % 2]
        user = f"user {number % 5}"
        data_id = data_ids[number % 4]
        store = stores[number % 3]
        store.write([], [feedback(data_id, value, user=user, at=1_000 + number, provisional=True)])
        if number == 60:
            store.write([generation(data_ids[2]), generation(data_ids[3])], [])

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(rate, range(120)))
    history = stores[0].history(data_ids)
    assert len(history) == 120
    assert not [row for row in history if row.provisional]
    with psycopg.connect(url) as connection:
        standing = connection.execute(
            "SELECT data_id, rater, value FROM current_feedback"
        ).fetchall()
    newest = {(row.data_id, row.rater): row.value for row in history}
    assert {(data_id, rater): value for data_id, rater, value in standing} == newest
    assert len(standing) == len(newest)
    for store in stores:
        store.close()


def test_one_generation_from_many_writers_is_one_row(url: str) -> None:
    stores = [opened(url) for _ in range(2)]
    rows = [generation(status="running", created_at=MONTH[1]) for _ in range(20)]
    done = [generation(row.id, output='"x"', created_at=MONTH[1]) for row in rows]
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait(20)
        stores[number % 2].write((rows if number % 3 else done)[:: 1 if number % 2 else -1], [])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    kept = stores[0].generations(Query(limit=500))
    assert sorted(row.id for row in kept) == sorted(row.id for row in rows)
    assert {row.status for row in kept} == {"ok"}
    for store in stores:
        store.close()


def test_months_have_partitions_and_old_ones_are_dropped(store: PostgresStore, url: str) -> None:
    rows = {month: generation(created_at=at) for month, at in MONTH.items()}
    ancient = generation(created_at=5)
    store.write([*rows.values(), ancient], [feedback(row.id) for row in rows.values()])
    with psycopg.connect(url) as connection:
        names = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables")}
    assert {"generations_2026_01", "generations_2026_02", "generations_2026_03"} <= names
    gone = store.drop_before(MONTH[3] - 5 * 86_400_000_000)
    assert gone == 3
    assert [row.id for row in store.generations(Query())] == [rows[3].id]
    assert [row.data_id for row in store.history([row.id for row in rows.values()])] == [rows[3].id]
    assert store.generation(ancient.id) is None
    with psycopg.connect(url) as connection:
        names = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables")}
    assert "generations_2026_01" not in names
    again = generation(created_at=MONTH[1])
    store.write([again], [])
    assert store.generation(again.id) is None
    assert stop(store)
    store.write([again], [])
    assert store.generation(again.id) == again


def test_a_server_that_missed_that_a_month_was_dropped_goes_on_writing(
    store: PostgresStore, url: str
) -> None:
    other = opened(url)
    other.write([generation(created_at=MONTH[1])], [])
    store.write([generation(created_at=MONTH[3])], [])
    store.drop_before(MONTH[2])
    stop(store)
    rows = [generation(created_at=MONTH[1]) for _ in range(2)]
    other.write(rows[:1], [])  # into the table of other times: it believes the month's is there
    store.write(rows[1:], [])
    for row in rows:
        assert store.generation(row.id) == row
    other.close()


def test_batches_of_several_servers_leave_room_in_the_table_of_locks(url: str) -> None:
    stores = [opened(url) for _ in range(4)]
    batches = [[generation() for _ in range(5_000)] for _ in stores]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(lambda store, rows: store.write(rows, []), stores, batches))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM generations").fetchone() == (20_000,)
    for store in stores:
        store.close()


def test_a_stub_that_moves_to_another_month_is_one_row(store: PostgresStore) -> None:
    said = feedback(new_id(), received_at=MONTH[2])
    store.write([], [said])
    row = generation(said.data_id, created_at=MONTH[1])
    store.write([row], [])
    assert store.generations(Query()) == [row]
    assert store.generation(row.id) == row


def test_what_no_text_of_postgresql_can_hold_comes_back(url: str) -> None:
    client = Client(url)
    odd = {"nul": "a\0b", "lone": "x\ud800y", "pair": "\U0001f600"}
    data_id = client.log(inputs=odd, output="out\0put", user="u\0ser", name="na\ud800me")
    client.feedback(data_id=data_id, type="comment", value="c\0\udfff", user="u\0ser")
    kept = client.get(data_id)
    assert kept is not None
    assert kept.inputs == odd
    assert kept.output == "out\0put"
    assert kept.feedback[0].value == "c\0\udfff"
    assert client.erase("u\0ser") > 0
    assert client.get(data_id) is None
    client.close()


def test_a_forked_child_uses_connections_of_its_own(url: str) -> None:
    program = """
import os, sys
from afterword import Client
client = Client(sys.argv[1])
first = client.log(output="parent")
assert client.flush(20)
child = os.fork()
if child == 0:
    client.log(output="child")
    ok = client.flush(20)
    os._exit(0 if ok else 1)
_, status = os.waitpid(child, 0)
client.log(output="parent again")
assert client.flush(20)
print(os.waitstatus_to_exitcode(status), len(client.generations().items))
client.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "3"]


def test_a_server_that_is_away_is_told_within_seconds(url: str) -> None:
    parts = urlsplit(url)
    away = urlunsplit(parts._replace(netloc="afterword@127.0.0.1:1"))
    store = opened(away)
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match="Connection refused"):
        store.open()
    assert time.monotonic() - started_s < 3
    store.close()
    nowhere = opened(f"{url}_which_is_not_there")
    with pytest.raises(StoreUnavailable, match="does not exist"):
        nowhere.open()
    nowhere.close()
