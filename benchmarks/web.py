"""Requests a second of a one-endpoint Starlette app: bare, and recording every call to SQLite.

One uvicorn worker; the load is that of `wrk` where it is on the PATH, else of our own generator, which takes
more of the machine itself. Bare and recording take turns, so that what else the machine does falls on
both; the medians count. The CPU that the server's process spends on a request is told beside it, since on a
shared machine it is the steadier figure.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from socket import create_connection, create_server

import psutil

import afterword
from benchmarks import http_load, wrk
from benchmarks.http_load import Load, request

REQUESTS = 8_000
SECONDS = 4
CONNECTIONS = 16
ROUNDS = 5
WARMING = 50
HTTP = ("h11", "httptools")

_APP = """
import socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

listener, http, url = socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3]

async def answer(question):
    return "x" * 2_000

if url:
    import afterword
    from afterword.asgi import FeedbackMiddleware
    client = afterword.Client(url, secret="k1:0123456789abcdef0123456789abcdef")
    answer = afterword.generation(client=client)(answer)

async def chat(request):
    return JSONResponse({"answer": await answer((await request.json())["question"])})

app = Starlette(routes=[Route("/", chat, methods=["POST"])])
if url:
    app = FeedbackMiddleware(app, client=client)
uvicorn.Server(uvicorn.Config(app, http=http, access_log=False, log_level="error")).run([listener])
if url:
    client.close()
"""


def measured(http: str) -> dict[str, tuple[float, float]]:
    """The medians of the bare and of the recording app: requests/s, p99 in ms, CPU in µs."""
    runs: dict[bool, list[tuple[Load, float]]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for recording, found in runs.items():
            found.append(_run(http, recording))
    bare, ours = runs.values()

    def medians(of: Callable[[Load, float], float]) -> tuple[float, float]:
        return (
            statistics.median(of(*run) for run in bare),
            statistics.median(of(*run) for run in ours),
        )

    return {
        "requests/s": medians(lambda run, cpu_us: run.per_second),
        "p99, ms": medians(lambda run, cpu_us: run.p99_ms),
        "server CPU a request, µs": medians(lambda run, cpu_us: cpu_us),
    }


def _run(http: str, recording: bool) -> tuple[Load, float]:
    body = json.dumps({"question": "y" * 1_000}).encode()
    with tempfile.TemporaryDirectory(prefix="afterword-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}" if recording else ""
        with create_server(("127.0.0.1", 0), backlog=256) as listener:
            os.set_inheritable(listener.fileno(), True)
            port = listener.getsockname()[1]
            command = [sys.executable, "-c", _APP, str(listener.fileno()), http, url]
            server = subprocess.Popen(command, pass_fds=[listener.fileno()])
        try:
            _warm(port, body)
            before = psutil.Process(server.pid).cpu_times()
            found = _load(port, body)
            after = psutil.Process(server.pid).cpu_times()
        finally:
            server.terminate()
            server.wait(20)
        assert found.refused == 0, found
        if recording:
            _check_all_were_kept(url, found.requests)
    spent_s = after.user + after.system - before.user - before.system
    return found, spent_s / found.requests * 1e6


def _load(port: int, body: bytes) -> Load:
    if wrk.is_here():
        return wrk.load(port, "/", body, CONNECTIONS, SECONDS)
    return http_load.load(port, [request("/", body)] * REQUESTS, CONNECTIONS)


def _warm(port: int, body: bytes) -> None:
    """The first answer comes once the server has started; the first few are slower."""
    with create_connection(("127.0.0.1", port), 20) as connection:
        for _ in range(WARMING):
            connection.sendall(request("/", body))
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b'"}'):
                answer += connection.recv(65_536)


def _check_all_were_kept(url: str, requests: int) -> None:
    """What was not recorded would not have cost anything."""
    client = afterword.Client(url)
    kept, after = 0, None
    while True:
        page = client.generations(limit=500, after=after)
        kept, after = kept + len(page.items), page.next
        if after is None:
            break
    client.close()
    # wrk leaves without waiting for the answer to the last request of each connection.
    least = requests + WARMING
    assert least <= kept <= least + CONNECTIONS, f"{kept} of {least} calls were kept"


def rows() -> list[tuple[str, ...]]:
    """For the table of all benchmarks."""
    by = "wrk" if wrk.is_here() else "our own load, as wrk is not on the PATH"
    out: list[tuple[str, ...]] = []
    for http in HTTP:
        budgets = ("50 %", "3x", "")
        for (what, (bare, ours)), budget in zip(measured(http).items(), budgets, strict=True):
            ratio = f"{100 * ours / bare:.0f} %" if budget == "50 %" else f"{ours / bare:.1f}x"
            label = f"Starlette app, uvicorn with {http}, {by}: {what}"
            out.append((label, f"{bare:,.1f}", "", f"{ours:,.1f}", ratio, budget))
    return out


if __name__ == "__main__":
    for row in rows():
        print("| " + " | ".join(row) + " |")
