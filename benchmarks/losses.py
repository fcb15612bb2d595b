"""What is lost, what comes twice and how long the end takes, with a server that is well, failing or dead.

A program calls a decorated function and ends; nothing of it asks whether anything arrived. Its store is an
Afterword server on loopback. What it leaves in its spool, the next start of the program delivers. What was
called is then compared with the rows of the server's database.

``python -m benchmarks.losses`` prints this table alone, in about a minute and a half.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import apsw
import uvicorn
from starlette.types import Receive, Scope, Send

import afterword
from afterword.server import create_app
from benchmarks import workload

CALLS = 20_000
PACED_CALLS = 2_000
FAILING_S = 10.0
FAILING_CALLS = 12_000
WAIT_S = 60.0
_PACE_S = 0.001


@dataclass(frozen=True)
class Losses:
    """One program's run, and what had come of it when the next one was over."""

    calls: int
    #: Median of what a caller waited, over an undecorated call.
    caller_us: float
    exit_s: float
    #: In the server's database when the program had ended.
    at_exit: int
    #: After the next start: missing, and there more than once.
    lost: int
    duplicated: int
    flush_s: float | None = None

    def __str__(self) -> str:
        flush = "" if self.flush_s is None else f", flush {self.flush_s:.2f} s"
        return (
            f"{self.calls} calls, {self.lost} lost, {self.duplicated} twice, {self.at_exit} there at the"
            f" end, exit {self.exit_s:.2f} s, caller {self.caller_us:.1f} µs{flush}"
        )


class Failing:
    """The server, but that it answers 503 for a while after it was first asked."""

    def __init__(self, app: Any, failing_s: float) -> None:
        self._app = app
        self._failing_s = failing_s
        self._since_s: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        now_s = time.monotonic()
        self._since_s = self._since_s or now_s
        if now_s - self._since_s >= self._failing_s:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body"})


def _serve(told: Connection, url: str, port: int, failing_s: float) -> None:
    app = Failing(create_app(afterword.Client(url)), failing_s)
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    told.send(True)
    config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def served(database: Path, port: int, failing_s: float) -> Iterator[None]:
    """A server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    url = f"sqlite:///{database}"
    process = context.Process(target=_serve, args=(theirs, url, port, failing_s))
    process.start()
    assert ours.poll(WAIT_S), "the server did not start"
    try:
        yield
    finally:
        process.terminate()
        process.join(WAIT_S)


def program(folder: Path, url: str, calls: int, pace_s: float = 0.0, *, asked: str = "") -> Any:
    """Run the program to its end; gives what it tells, and the seconds from its last line to its end."""
    command = [sys.executable, "-m", "benchmarks.losses", str(folder), str(calls), str(pace_s)]
    ended = subprocess.run(
        [*command, asked],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        env={**os.environ, "AFTERWORD_URL": url, "AFTERWORD_SPOOL": str(folder / "spool")},
    )
    over_s = time.monotonic()
    told = json.loads(ended.stdout)
    return {**told, "exit_s": over_s - told["over_at_s"]}


def _call(folder: Path, calls: int, pace_s: float, asked: str) -> None:
    """The program itself."""
    plain, _, decorated = workload.variants(workload.call).values()
    bare_s: list[float] = []
    ours_s: list[float] = []
    data_ids: list[str | None] = []
    with afterword.trail():
        for number in range(calls):
            if number % 10 == 0:
                bare_s.append(_timed(plain))
            ours_s.append(_timed(decorated))
            data_ids.append(afterword.last_data_id())
            if pace_s:
                time.sleep(pace_s)
    flush_s = None
    if asked == "flush":
        started_s = time.perf_counter()
        assert afterword.flush(WAIT_S)
        flush_s = time.perf_counter() - started_s
    if asked == "settle":
        _settle()
    (folder / "called").open("a").writelines(f"{data_id}\n" for data_id in data_ids)
    over_s = statistics.median(ours_s) - statistics.median(bare_s) if calls else 0.0
    told = {"caller_us": over_s * 1e6, "flush_s": flush_s}
    print(json.dumps({**told, "over_at_s": time.monotonic()}), flush=True)


def _timed(function: Callable[..., Any]) -> float:
    arguments = workload.text_arguments()
    started_s = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started_s


def _settle() -> None:
    """Wait until nothing of what the program before has left is in the spool."""
    spool = Path(os.environ["AFTERWORD_SPOOL"])
    afterword.log(data_id=_LAST, output="the next start")
    deadline_s = time.monotonic() + WAIT_S
    while afterword.get(_LAST) is None or any(spool.rglob("*.seg")):
        assert time.monotonic() < deadline_s, afterword.status()
        afterword.flush(0.5)
        time.sleep(0.01)


_LAST = "the-next-start"


def stored(database: Path) -> list[str]:
    """The data IDs in a server's database, one for each row."""
    with apsw.Connection(str(database)) as connection:
        rows = connection.execute("SELECT id FROM generations WHERE id <> ?", (_LAST,))
        return [str(data_id) for (data_id,) in rows]


def run(calls: int, pace_s: float = 0.0, *, server: str = "well", flush: bool = False) -> Losses:
    """One program, and its next start, when the server is well in any case.

    The server is then well, failing (503 for ten seconds), refusing connections, or silent on them.
    """
    folder = Path(tempfile.mkdtemp(prefix="afterword-losses-"))
    database = folder / "served.db"
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = int(listener.getsockname()[1])
        url = f"http://127.0.0.1:{port}"
        if server == "silent":
            told = program(folder, url, calls, pace_s)
    if server == "refusing":
        told = program(folder, url, calls, pace_s)
    at_exit = 0
    with served(database, port, FAILING_S if server == "failing" else 0.0):
        if server in ("well", "failing"):
            told = program(folder, url, calls, pace_s, asked="flush" if flush else "")
            at_exit = len(stored(database))
        program(folder, url, 0, asked="settle")
    called = (folder / "called").read_text().split()
    found = stored(database)
    assert set(found) <= set(called), "there are rows that nobody called for"
    return Losses(
        calls=len(called),
        caller_us=told["caller_us"],
        exit_s=told["exit_s"],
        at_exit=at_exit,
        lost=len(set(called) - set(found)),
        duplicated=len(found) - len(set(found)),
        flush_s=told["flush_s"],
    )


def measured() -> dict[str, Losses]:
    """The columns of the comparison with other products."""
    return {
        "tight calls, flush": run(CALLS, flush=True),
        "tight calls, normal exit": run(CALLS),
        "1k calls/s, normal exit": run(PACED_CALLS, _PACE_S),
        "503 for 10 s, 1k calls/s": run(FAILING_CALLS, _PACE_S, server="failing"),
        "nobody listens, tight calls": run(CALLS, server="refusing"),
        "nobody listens, paced calls": run(PACED_CALLS, _PACE_S, server="refusing"),
        "silent server, tight calls": run(CALLS, server="silent"),
        "silent server, paced calls": run(PACED_CALLS, _PACE_S, server="silent"),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _call(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
    else:
        for name, found in measured().items():
            print(f"{name}: {found}", flush=True)
