"""F29: gunicorn loads the app, then forks workers, ends them, reloads and stops. All that was served is stored."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import apsw
import figures
import httpx
import pytest
import worker_runs
from processes import ServerProcess

WORKERS = 4
VISITORS = 4
WAIT_S = 40.0


@contextmanager
def gunicorn(
    folder: Path, url: str, *options: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A gunicorn that has loaded the app before it forks."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = folder / "gunicorn.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "gunicorn", "serving:app", "--preload", "--workers", str(WORKERS),
                "--worker-class", "uvicorn_worker.UvicornWorker", "--bind", address,
                "--graceful-timeout", "10", "--log-level", "info", *options,
            ],
            cwd=worker_runs.WORKERS,
            env=worker_runs.environment(
                AFTERWORD_URL=url,
                AFTERWORD_PROJECT="web",
                AFTERWORD_SPOOL=str(folder / "spool"),
                AFTERWORD_SECRET="k1:a-secret-of-more-than-sixteen",
            ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process, f"http://{address}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)  # so that its workers end with it
            process.wait(WAIT_S)


def await_start(base: str, log: Path) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        try:
            httpx.get(f"{base}/process")
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)  # it tells nobody when it is up


def await_renewal(log: Path) -> None:
    """A worker that has served its share is followed by another, when gunicorn comes to it."""
    deadline_s = time.monotonic() + WAIT_S
    while log.read_text().count("Booting worker") <= WORKERS:
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.05)  # its log is all that tells


class Visitors:
    """Ask until told to stop, and keep what they were answered."""

    def __init__(self, base: str, asks: int) -> None:
        self._base = base
        self._asks = asks
        self.served: dict[str, str] = {}
        self.rated: set[str] = set()
        self.failures = 0
        self.half_way = threading.Event()

    def visit(self, who: int) -> None:
        with httpx.Client(base_url=self._base, timeout=30) as browser:
            number = 0
            while number < self._asks:
                question = f"{who}-{number}"
                try:
                    answer = browser.post("/chat", params={"q": question})
                    assert answer.status_code == 200, answer.text
                    self.served[answer.headers["afterword-data-id"]] = question
                    if number % 10 == 0:
                        token = answer.headers["afterword-feedback-token"]
                        body = {"token": token, "type": "rating", "value": "good"}
                        assert browser.post("/feedback/", json=body).status_code == 202
                        self.rated.add(answer.headers["afterword-data-id"])
                    number += 1
                except httpx.TransportError:
                    self.failures += 1  # its worker was ended before it answered
                    assert self.failures < 1_000
                if number == self._asks // 2:
                    self.half_way.set()


def serve(folder: Path, url: str, how: str, asks: int) -> Visitors:
    """Let gunicorn serve so many requests, and end it while nobody asks any more."""
    options = (
        ("--max-requests", "20", "--max-requests-jitter", "5") if how == "max-requests" else ()
    )
    log = folder / "gunicorn.log"
    with gunicorn(folder, url, *options) as (process, base):
        await_start(base, log)
        visitors = Visitors(base, asks // VISITORS)
        with ThreadPoolExecutor(VISITORS) as pool:
            visits = [pool.submit(visitors.visit, who) for who in range(VISITORS)]
            if how == "HUP":
                assert visitors.half_way.wait(WAIT_S)
                process.send_signal(signal.SIGHUP)
            for visit in visits:
                visit.result()
        if how == "max-requests":
            await_renewal(log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0, log.read_text()
    said = log.read_text()
    assert "Traceback" not in said, said
    assert "afterword:" not in said, said
    drain(folder, url)
    if how == "HUP":
        assert "Handling signal: hup" in said
    return visitors


def require_delivered(visitors: Visitors, database: Path, run: figures.Run) -> None:
    connection = apsw.Connection(str(database))
    stored = [
        (str(data_id), str(inputs))
        for data_id, inputs in connection.execute(
            "SELECT id, inputs FROM generations WHERE project = 'web' AND status = 'ok'"
        )
    ]
    rated = {
        str(data_id)
        for (data_id,) in connection.execute("SELECT data_id FROM feedback WHERE project = 'web'")
    }
    connection.close()
    held = dict(stored)
    run.loops = 1
    run.attempted = run.acknowledged = len(visitors.served)
    run.lost = len(visitors.served.keys() - held.keys())
    run.duplicated = len(stored) - len(held)
    run.more.update(rated=len(visitors.rated), cut_off=visitors.failures)
    assert (run.lost, run.duplicated) == (0, 0)
    for data_id, question in visitors.served.items():
        assert f'"{question}"' in held[data_id]
    assert rated == visitors.rated
    # Beside these are only the one of loading, and what was served to a visitor that was cut off.
    assert len(held) - len(visitors.served) <= 1 + visitors.failures + 1


HOWS = ("TERM", "HUP", "max-requests")


@pytest.mark.parametrize("how", HOWS)
def test_f29_what_preloaded_workers_served_is_delivered(tmp_path: Path, how: str) -> None:
    with figures.run(f"F29 {how}, sqlite") as run:
        database = tmp_path / "store.db"
        visitors = serve(tmp_path, f"sqlite:///{database}", how, 240)
        require_delivered(visitors, database, run)


def test_f29_what_preloaded_workers_served_reaches_a_server(tmp_path: Path) -> None:
    with figures.run("F29 max-requests, server") as run, ServerProcess(tmp_path) as server:
        visitors = serve(tmp_path, server.url, "max-requests", 240)
        require_delivered(visitors, server.database, run)


def drain(folder: Path, url: str) -> None:
    """What is left in the spool at the end goes with the next program."""
    done = worker_runs.run(
        "drain.py", folder / "spool", AFTERWORD_URL=url, AFTERWORD_PROJECT="web",
        AFTERWORD_SPOOL=str(folder / "spool"),
    )  # fmt: skip
    worker_runs.told(done)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("how", HOWS)
def test_f29_what_twenty_thousand_requests_were_served_is_delivered(
    tmp_path: Path, how: str
) -> None:
    with figures.run(f"F29 long {how}") as run:
        database = tmp_path / "store.db"
        visitors = serve(tmp_path, f"sqlite:///{database}", how, 20_000)
        require_delivered(visitors, database, run)
