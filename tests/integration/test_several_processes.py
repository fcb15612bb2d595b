"""Several processes on one SQLite file: writing at once, forking, dying, leaving."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import apsw
import httpx
import pytest
import sqlite_writers as writers

from afterword import Client
from afterword.stores import open_store
from afterword.stores.protocol import Query
from afterword.stores.sql import migrations

WRITERS = 4


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def is_whole(path: Path) -> bool:
    connection = apsw.Connection(str(path))
    try:
        return connection.pragma("integrity_check") == "ok"
    finally:
        connection.close()


@contextmanager
def running(work: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process doing one of the writers' works."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", writers.__file__, work, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(work: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    with running(work, *arguments) as process:
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(work, process.returncode, out, err)


def test_four_processes_that_start_at_once_store_all_they_captured(tmp_path: Path) -> None:
    path = tmp_path / "afterword.db"
    spawning = multiprocessing.get_context("spawn")
    together, results = spawning.Barrier(WRITERS), spawning.Queue()
    arguments = (url_of(path), together, 500, results)
    processes = [
        spawning.Process(target=writers.write_at_once, args=arguments) for _ in range(WRITERS)
    ]
    for process in processes:
        process.start()
    answers = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0

    data_ids = [data_id for written, _, _ in answers for data_id in written]
    for written, durable, status in answers:
        assert durable
        assert status.captured == status.stored == len(written) == 500
        assert status.faults == 0
    connection = sqlite3.connect(path)
    assert {found for (found,) in connection.execute("SELECT id FROM generations")} == set(data_ids)
    assert connection.execute("SELECT count(*) FROM feedback").fetchone() == (WRITERS * 50,)
    connection.close()
    assert is_whole(path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_four_uvicorn_workers_store_all_they_answered(tmp_path: Path) -> None:
    path, port = tmp_path / "afterword.db", free_port()
    server = subprocess.Popen(
        [
            sys.executable, "-m", "uvicorn", "sqlite_writers:app", "--workers", str(WRITERS),
            "--port", str(port), "--log-level", "warning", "--app-dir", str(Path(__file__).parent),
        ],
        env={**os.environ, "AFTERWORD_URL": url_of(path), "AFTERWORD_PROJECT": "web"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    try:
        base = f"http://127.0.0.1:{port}"
        workers = workers_up(base)
        deadline = time.monotonic() + 3

        def visit(number: int) -> list[tuple[str, bool]]:
            seen: list[tuple[str, bool]] = []
            with httpx.Client(base_url=base) as browser:
                while time.monotonic() < deadline:
                    answer = browser.post("/chat", params={"q": f"question {number}"})
                    assert answer.status_code == 200, answer.text
                    token = answer.headers["afterword-feedback-token"]
                    body = {"token": token, "type": "rating", "value": "good"}
                    rated = len(seen) % 3 == 0
                    if rated:
                        # Another worker's keyring has to know this token: the secret is shared.
                        with httpx.Client(base_url=base) as other:
                            assert other.post("/feedback/", json=body).status_code == 202
                    seen.append((answer.headers["afterword-data-id"], rated))
            return seen

        with ThreadPoolExecutor(4) as visitors:
            seen = [pair for pairs in visitors.map(visit, range(4)) for pair in pairs]
        faults = [int(re.search(r"faults=(\d+)", line)[1]) for line in workers_up(base).values()]  # type: ignore[index]
    finally:
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=20)

    assert len(workers) == WRITERS
    assert faults == [0] * WRITERS
    assert "Error" not in output
    assert "afterword:" not in output
    connection = sqlite3.connect(path)
    stored = {found for (found,) in connection.execute("SELECT id FROM generations")}
    rated = {found for (found,) in connection.execute("SELECT data_id FROM current_feedback")}
    connection.close()
    assert stored == {data_id for data_id, _ in seen}
    assert rated == {data_id for data_id, was_rated in seen if was_rated}
    assert is_whole(path)


def workers_up(base: str) -> dict[str, str]:
    """What each worker says of itself, by its process ID; asks until all have answered."""
    answers: dict[str, str] = {}
    deadline = time.monotonic() + 30
    while len(answers) < WRITERS and time.monotonic() < deadline:
        try:
            # A new connection each time, so that any worker may take it.
            with ThreadPoolExecutor(8) as pool:
                for answer in pool.map(lambda _: httpx.get(f"{base}/status").text, range(8)):
                    answers[answer.split()[0]] = answer
        except httpx.TransportError:
            time.sleep(0.05)  # a server that is starting tells nobody when it is up
    return answers


def test_a_writer_killed_at_any_moment_leaves_all_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "afterword.db"
    acknowledged: set[str] = set()
    for round_number in range(3):
        with running("acknowledge_feedback", url_of(path)) as process:
            assert process.stdout is not None
            for _ in range(20 + 7 * round_number):
                acknowledged.add(process.stdout.readline().strip())
            process.kill()
            # What it printed before it died counts too, but for a line cut short.
            acknowledged |= {line.strip() for line in process.stdout if line.endswith("\n")}
        assert is_whole(path)
    client = Client(url_of(path), project="main")
    found = {row.data_id: row for row in client.store.history(sorted(acknowledged))}
    client.close()
    assert len(acknowledged) >= 81
    assert set(found) == acknowledged


def test_a_child_and_its_parent_share_a_client_and_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    path = tmp_path / "afterword.db"
    done = run("write_around_a_fork", url_of(path))
    assert (done.returncode, done.stderr) == (0, "")
    store = open_store(url_of(path))
    ids = [row.id for row in store.generations(Query(limit=100))]
    expected = {"before", "unsent"}
    expected |= {f"{who}-{number}" for who in ("child", "parent") for number in range(20)}
    assert sorted(ids) == sorted(expected)
    assert {row.user for row in store.history(["before"])} == {"before", "child", "parent"}
    store.close()
    assert is_whole(path)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_process_that_ends_at_once_still_stores(tmp_path: Path, method: str) -> None:
    url = url_of(tmp_path / "afterword.db")
    done = run("log_in_a_worker", url, method)
    assert (done.returncode, done.stderr) == (0, "")
    store = open_store(url)
    assert [row.id for row in store.generations(Query())] == ["worker"]
    store.close()


def test_exit_takes_two_seconds_at_most_while_the_database_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "afterword.db"
    store = open_store(url_of(path))
    store.open()
    store.close()
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with running("exit_while_locked", url_of(path)) as process:
            assert process.stdout is not None
            over_at_s = float(process.stdout.readline())
            assert process.wait(30) == 0
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        # Two seconds of ours, and a little for the interpreter itself.
        assert time.time() - over_at_s < 4.0
    finally:
        holder.execute("ROLLBACK")
        holder.close()


def test_closing_a_client_takes_little_more_than_two_seconds_while_the_database_is_locked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "afterword.db"
    client = Client(url_of(path))
    client.store.open()
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN EXCLUSIVE")
    try:
        client.log(inputs="q")
        started_s = time.monotonic()
        client.close()
        assert time.monotonic() - started_s < 3.5
    finally:
        holder.execute("ROLLBACK")
        holder.close()


def test_what_a_lock_delayed_is_stored_when_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "afterword.db"
    client = Client(url_of(path), project="main")
    client.store.open()
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    data_ids = [client.log(inputs=number) for number in range(20)]
    assert client.flush(0.3)  # on this disk, where a kill cannot reach it
    status = client.status()
    assert (status.captured, status.stored, status.spooled) == (20, 0, 20)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.feedback, data_ids[0], "rating", "good")
        holder.execute("ROLLBACK")
        holder.close()
        assert waiting.result(20).value == "good"
    assert client.flush(20)
    assert client.status().stored == 20
    client.close()


@pytest.mark.parametrize("script", ["first", "next"])
def test_a_crash_in_mid_migration_leaves_the_file_as_it_was(tmp_path: Path, script: str) -> None:
    path = tmp_path / "afterword.db"
    if script == "next":
        client = Client(url_of(path), project="main")
        client.log(data_id="kept", inputs="q")
        client.close()
    done = run("die_while_migrating", str(path), script)
    assert done.returncode == -signal.SIGKILL, done.stderr

    client = Client(url_of(path), project="main")
    assert (client.get("kept") is not None) == (script == "next")
    client.log(data_id="later", inputs="q")
    assert client.get("later") is not None
    client.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(migrations("sqlite"))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    connection.close()
    assert not tables & {"half_made", "never_made"}
    assert is_whole(path)
