"""The memory store: everything a file holds, gone with the process (layer 2).

For tests and notebooks. It is SQLite without a file, so that it can never behave differently.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import apsw

from afterword.errors import ConfigError
from afterword.stores.sql import migrations
from afterword.stores.sqlite import SqliteStore
from afterword.stores.sqlite_files import errors_of, migrate


def open_store(url: str) -> MemoryStore:
    """``memory:``, a new and empty store each time.

    Raises:
        ConfigError: something follows the colon.
    """
    if url.rstrip("/") != "memory:":
        raise ConfigError(f"the memory store's URL is memory: and nothing more, not {url!r:.200}")
    return MemoryStore()


class MemoryStore(SqliteStore):
    """Records in this process's memory, behind one connection and one lock."""

    def __init__(self) -> None:
        super().__init__("memory:", ":memory:")

    @contextmanager
    def _reading(self) -> Generator[apsw.Connection]:
        with errors_of(self.path), self._lock:
            yield self._write_connection()

    def _write_connection(self) -> apsw.Connection:
        if self._writer is None:
            connection = apsw.Connection(":memory:")
            migrate(connection, migrations("sqlite"), self.path)
            self._writer = connection
        return self._writer
