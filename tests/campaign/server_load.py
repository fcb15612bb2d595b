"""`afterword serve` as a process to be killed, and clients that post to it until they are answered."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from ledger import Ledger

from afterword.ids import new_id

COMMAND = [sys.executable, "-c", "from afterword.cli.main import main; main()", "serve"]
READY_S = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Server:
    """One server after the other, on one port."""

    def __init__(self, url: str, port: int | None = None) -> None:
        self.url = url
        self.port = port or free_port()
        self.said: IO[str] = tempfile.TemporaryFile("w+")
        self._process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> None:
        command = [*COMMAND, "--url", self.url, "--port", str(self.port), *arguments]
        self._process = subprocess.Popen(command, stderr=self.said, text=True)

    def wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + READY_S
        while True:
            with suppress(OSError, http.client.HTTPException):
                if post(self.port, "GET", "/healthz")[0] == 200:
                    return
            assert self._process is not None
            assert self._process.poll() is None, self.errors()
            assert time.monotonic() < deadline_s, self.errors()
            time.sleep(0.02)

    def end(self, number: int = signal.SIGKILL) -> int:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        return process.wait(30)

    def errors(self) -> str:
        self.said.seek(0)
        return self.said.read()

    def close(self) -> None:
        if self._process is not None:
            self.end()
        self.said.close()


@contextmanager
def server(url: str) -> Iterator[Server]:
    """A server that is started by the test, and ended at the latest with it."""
    made = Server(url)
    try:
        yield made
    finally:
        made.close()


def post(
    port: int, method: str, path: str, body: Any = None, *, packed: bool = False
) -> tuple[int, Any]:
    """One request on a connection of its own: its status and what was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    if content is not None and packed:
        content, headers["Content-Encoding"] = gzip.compress(content, 1), "gzip"
    try:
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


class Poster(threading.Thread):
    """Posts batches of generations, and feedback on them, each until it is answered with 200."""

    def __init__(
        self, ports: list[int], ledger: Ledger, seed: int, acknowledged: Any = None
    ) -> None:
        super().__init__(daemon=True)
        self._ports = ports
        self._ledger = ledger
        self._draw = random.Random(seed)
        self._acknowledged = acknowledged
        self.over = threading.Event()
        self.requests = self.failures = self.duplicates = 0
        self.problems: list[object] = []

    def run(self) -> None:
        try:
            while not self.over.is_set():
                self._batch()
        except Exception as error:
            self.problems.append(error)
            raise

    def _batch(self) -> None:
        rows: list[dict[str, Any]] = []
        said: list[dict[str, Any]] = []
        keys: list[str] = []
        said_keys: list[str] = []
        for number in range(self._draw.randrange(1, 40)):
            data_id, output = new_id(), "o" * self._draw.randrange(10, 2_000)
            keys.append(self._ledger.attempt(data_id, number, output))
            rows.append({"id": data_id, "project": "p", "inputs": number, "output": output})
            if number % 4 == 0:
                said_keys.append(self._ledger.attempt_feedback(data_id, "rating", "good", "ann"))
                entry = {"id": new_id(), "data_id": data_id, "type": "rating", "value": "good"}
                said.append({**entry, "user": "ann"})
        self._until_taken("/api/v1/generations", {"generations": rows}, keys)
        self._until_taken("/api/v1/feedback", {"feedback": said}, said_keys)

    def _until_taken(self, path: str, body: dict[str, Any], keys: list[str]) -> None:
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            self.requests += 1
            port = self._draw.choice(self._ports)
            try:
                status, answer = post(port, "POST", path, body, packed=self._draw.random() < 0.3)
            except (OSError, http.client.HTTPException, ValueError):
                self.failures += 1
                time.sleep(0.01)
                continue
            if status == 200:
                self._ledger.acknowledge(*keys)
                self.duplicates += answer.get("duplicates", 0)
                if answer.get("conflicts"):
                    self.problems.append(answer)
                if self._acknowledged is not None:
                    self._acknowledged.set()
                return
            self.failures += 1
            if status != 503:
                self.problems.append((status, answer))
                return
            time.sleep(0.01)
        self.problems.append("never answered")


@contextmanager
def posting(
    ports: list[int], ledger: Ledger, clients: int, acknowledged: Any = None
) -> Iterator[list[Poster]]:
    """So many clients at work; at the end each sees its last batch through."""
    posters = [Poster(ports, ledger, seed, acknowledged) for seed in range(clients)]
    for poster in posters:
        poster.start()
    try:
        yield posters
    finally:
        for poster in posters:
            poster.over.set()
        for poster in posters:
            poster.join(90)
