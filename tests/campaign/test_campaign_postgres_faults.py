"""F39: PostgreSQL restarted, cut off, deadlocked, out of time, read-only, out of connections. Nothing is lost.

And several servers on one database, started at once, one of them killed: they are one service.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import figures
import psycopg
import pytest
import server_workers as workers
from ledger import Ledger, check, held_in_postgres, read
from server_load import post, posting, server

sys.path.append(str(Path(__file__).parents[1]))

from afterword.ids import new_id  # noqa: E402
from afterword.stores import Store, open_store  # noqa: E402
from afterword.stores.postgres import PostgresStore  # noqa: E402
from postgres_server import PostgresServer, new_database  # noqa: E402

WRITERS = 4


class Place:
    """A database of a server of its own, used by a role without privileges."""

    def __init__(self) -> None:
        self.server = PostgresServer()
        self.admin_url = new_database(self.server.url)
        self.name = urlsplit(self.admin_url).path[1:]
        parts = urlsplit(self.admin_url)
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.replace("afterword@", "app@")))
        self.do("CREATE ROLE app LOGIN", f"ALTER DATABASE {self.name} OWNER TO app",
                "ALTER SCHEMA public OWNER TO app")  # fmt: skip

    def do(self, *statements: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def cut(self) -> None:
        """End every connection of the role, as a failover does."""
        self.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")

    @contextmanager
    def locking(self, table: str) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.admin_url) as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
            yield connection
            connection.rollback()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.server.remove()


def restart(place: Place, stores: list[PostgresStore]) -> None:
    place.server.stop()
    place.server.start()


def cut_over_and_over(place: Place, stores: list[PostgresStore]) -> None:
    for _ in range(10):
        place.cut()
        time.sleep(0.03)


def deadlock(place: Place, stores: list[PostgresStore]) -> None:
    """A stranger takes two tables in the other order; ours is who gives up."""
    place.do("ALTER ROLE app SET deadlock_timeout = '200ms'")
    place.cut()
    for _ in range(3):
        with place.locking("feedback") as connection:
            connection.execute("SET LOCAL deadlock_timeout = '30s'")
            time.sleep(0.1)
            connection.execute("LOCK TABLE generation_keys IN ACCESS EXCLUSIVE MODE")
    place.do("ALTER ROLE app RESET deadlock_timeout")


def statement_timeout(place: Place, stores: list[PostgresStore]) -> None:
    place.do("ALTER ROLE app SET statement_timeout = '50ms'")
    place.cut()
    for _ in range(3):
        with place.locking("generations"):
            time.sleep(0.2)
    place.do("ALTER ROLE app RESET statement_timeout")
    place.cut()


def pool_exhausted(place: Place, stores: list[PostgresStore]) -> None:
    release = threading.Event()

    def hold(store: PostgresStore) -> None:
        try:
            with store._connected():
                release.wait(10)
        except Exception:  # refused, which is as good
            return

    holders = [threading.Thread(target=hold, args=(store,)) for store in stores for _ in range(8)]
    for holder in holders:
        holder.start()
    time.sleep(0.5)
    release.set()
    for holder in holders:
        holder.join(20)


def read_only(place: Place, stores: list[PostgresStore]) -> None:
    place.do(f"ALTER DATABASE {place.name} SET default_transaction_read_only = on")
    place.cut()
    time.sleep(0.3)
    place.do(f"ALTER DATABASE {place.name} RESET default_transaction_read_only")
    place.cut()


def out_of_connections(place: Place, stores: list[PostgresStore]) -> None:
    place.do(f"ALTER DATABASE {place.name} CONNECTION LIMIT 1")
    place.cut()
    time.sleep(0.3)
    place.do(f"ALTER DATABASE {place.name} CONNECTION LIMIT -1")


FAULTS: list[Callable[[Place, list[PostgresStore]], None]] = [
    restart, cut_over_and_over, deadlock, statement_timeout, pool_exhausted, read_only,
    out_of_connections,
]  # fmt: skip


def campaign(place: Place, folder: Path, run: figures.Run, rounds: int) -> None:
    ledger = Ledger(folder / "ledger")
    stores = [open_store(place.url) for _ in range(2)]
    over = threading.Event()
    problems: list[BaseException] = []
    batches = [0] * WRITERS
    away = [0] * WRITERS

    def write(number: int) -> None:
        try:
            while not over.is_set():
                away[number] += workers.write_batch(stores[number % 2], ledger, 8)
                batches[number] += 1
        except BaseException as error:
            problems.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for _ in range(rounds):
        for fault in FAULTS:
            wait_for(lambda before=sum(batches): sum(batches) > before + WRITERS or problems)
            before_s, before = time.monotonic(), sum(away)
            fault(place, stores)  # type: ignore[arg-type]
            wait_for(lambda before=sum(batches): sum(batches) > before + WRITERS or problems)
            name = fault.__name__
            run.more[f"{name}_s"] = round(time.monotonic() - before_s, 1)
            run.more[f"{name}_away"] = run.more.get(f"{name}_away", 0) + sum(away) - before
            run.loops += 1
            assert not problems, (name, problems)
    over.set()
    for writer in writers:
        writer.join(60)
    assert not problems, problems
    for store in stores:
        store.close()
    result = check(read(folder / "ledger"), held_in_postgres(place.admin_url))
    run.attempted, run.acknowledged = result.attempted, result.acknowledged
    run.lost, run.duplicated = len(result.lost), len(result.duplicated)
    result.require()
    assert result.attempted == result.acknowledged == result.stored


def wait_for(is_so: Callable[..., object]) -> None:
    deadline_s = time.monotonic() + 45
    while not is_so():
        assert time.monotonic() < deadline_s, "no batch was taken any more"
        time.sleep(0.005)


def test_f39_whatever_happens_to_the_database_nothing_acknowledged_is_lost(
    place: Place, tmp_path: Path
) -> None:
    with figures.run("F39") as run:
        campaign(place, tmp_path, run, 1)


@pytest.mark.long
def test_f39_over_and_over(tmp_path: Path) -> None:
    place = Place()
    try:
        with figures.run("F39 long") as run:
            campaign(place, tmp_path, run, 100)
    finally:
        place.server.remove()


def test_f39_a_nul_or_half_a_pair_spoils_no_batch(place: Place) -> None:
    store: Store = open_store(place.url)
    rows = [workers.generation(new_id(), f"row {number}", "out") for number in range(50)]
    rows[20].output = '"nul \\u0000, half \\ud800, \\\\u0000 \U0001f600"'
    rows[30].metadata = '{"\\u0000": "\\udfff"}'
    store.write(rows, [workers.rating(row.id, "good", "ann") for row in rows])
    kept = {row.id: row for row in store.by_ids([row.id for row in rows])}
    assert kept == {row.id: row for row in rows}
    store.close()


def test_f39_several_servers_on_one_database_are_one_service(tmp_path: Path) -> None:
    url = new_database()
    ledger = Ledger(tmp_path / "ledger")
    with (
        figures.run("F39 three servers") as run,
        server(url) as one,
        server(url) as two,
        server(url) as three,
    ):
        servers = (one, two, three)
        for served in servers:  # at once, on an empty database
            served.start()
        for served in servers:
            served.wait_until_ready()
        for number in range(12):  # what one has answered for, the others know
            first, other, last = (servers[(number + turn) % 3].port for turn in range(3))
            data_id = ledger.attempt(f"shared-{number}", "in", "out").partition(" ")[2]
            body = {"id": data_id, "project": "p", "inputs": "in", "output": "out"}
            assert post(first, "POST", "/api/v1/generations", {"generations": [body]})[0] == 200
            ledger.acknowledge(f"generation {data_id}")
            key = ledger.attempt_feedback(data_id, "rating", "bad", "ann")
            said = {"data_id": data_id, "type": "rating", "value": "bad", "user": "ann"}
            assert post(other, "POST", "/api/v1/feedback", {"feedback": [said]})[0] == 200
            ledger.acknowledge(key)
            found = post(last, "GET", f"/api/v1/generations/{data_id}")[1]
            assert [item["value"] for item in found["feedback"]] == ["bad"]
            again = post(last, "POST", "/api/v1/generations", {"generations": [body]})[1]
            assert again == {"accepted": 0, "duplicates": 1}
        with posting([served.port for served in servers], ledger, 4) as posters:
            for _ in range(1):
                wait_for(
                    lambda seen=sum(p.requests for p in posters): (
                        sum(p.requests for p in posters) > seen + 20
                    )
                )
                assert two.end(signal.SIGKILL) == -signal.SIGKILL
                two.start()
                two.wait_until_ready()
                run.loops += 1
        assert [poster.problems for poster in posters] == [[]] * 4
        result = check(ledger.read(), held_in_postgres(url))
        run.attempted, run.acknowledged = result.attempted, result.acknowledged
        run.lost, run.duplicated = len(result.lost), len(result.duplicated)
        run.more["sent_again"] = sum(poster.duplicates for poster in posters)
        result.require()
        assert result.attempted == result.acknowledged
    ledger.close()
