"""The processes of a campaign: programs that use afterword, and `afterword serve`, each an interpreter."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent
WAIT_S = 60.0
COMMAND = (sys.executable, "-c", "from afterword.cli.main import main; main()")


class ClientProcess:
    """A program that uses afterword; `client_worker.py` says what can be asked of it."""

    def __init__(
        self, url: str, folder: Path, *, durability: str = "normal", **environment: str
    ) -> None:
        self.ledger_path = folder / "ledger"
        self.spool = folder / "spool"
        self._errors = folder / f"errors-{time.monotonic_ns()}"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", HERE / "client_worker.py", self.ledger_path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={
                    **os.environ,
                    "AFTERWORD_URL": url,
                    "AFTERWORD_SPOOL": str(self.spool),
                    "AFTERWORD_DURABILITY": durability,
                    **environment,
                },
            )

    def __enter__(self) -> ClientProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill it, if it still runs."""
        if self.process.poll() is None:
            self.kill()
        _close(self.process)

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Let it do something; what came of it."""
        self.begin(command, **arguments)
        return self.answer()

    def begin(self, command: str, **arguments: Any) -> None:
        """Let it do something, and do not wait for that; `answer` does."""
        stdin = _pipe(self.process.stdin)
        stdin.write(f"{json.dumps([command, arguments])}\n")
        stdin.flush()

    def answer(self) -> dict[str, Any]:
        line = _pipe(self.process.stdout).readline()
        assert line, self.told
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def told(self) -> str:
        """What it has written to standard error."""
        return self._errors.read_text()

    def end(self) -> float:
        """Let it come to its end; the seconds that took. Nothing may be told on standard error but warnings."""
        started_s = time.monotonic()
        _pipe(self.process.stdin).close()
        code = self.process.wait(WAIT_S)
        spent_s = time.monotonic() - started_s
        assert code == 0, self.told
        assert "Traceback" not in self.told, self.told
        return spent_s

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(WAIT_S)


def afterword(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line, run to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={**os.environ, **environment},
    )


class ServerProcess:
    """`afterword serve` on a SQLite file in a folder. It may be killed and started again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.database = folder / "served.db"
        self._arguments = arguments
        #: What it has written to standard error.
        self.told: list[str] = []
        self._port = "0"
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, on the port it had before, and wait until it listens."""
        process = subprocess.Popen(
            [
                *COMMAND, "serve", "--url", f"sqlite:///{self.database}", "--port", self._port,
                *self._arguments,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.process = process
        line = _pipe(process.stderr).readline()
        told = re.search(r"at (http://\S+)", line)
        assert told is not None, line + _pipe(process.stderr).read()
        self.url = told[1]
        self._port = self.url.rpartition(":")[2]
        # It must not come to wait for room in the pipe.
        self._drain = threading.Thread(target=self._hear, args=(process.stderr,), daemon=True)
        self._drain.start()

    def stop(self) -> None:
        """SIGTERM, as a service manager ends it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def _hear(self, errors: IO[str]) -> None:
        with errors:
            self.told.extend(errors)

    def _end(self, number: int) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(WAIT_S)
            self._drain.join(WAIT_S)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _close(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            pipe.close()
