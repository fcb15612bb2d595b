"""Where the demo keeps its records, in words a person can use (layer 6)."""

from __future__ import annotations

from pathlib import Path

import afterword

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "DEFAULT_URL",
    "LOGS_URL",
    "database_file",
    "record_place",
]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8787
DEFAULT_URL = "sqlite:///afterword-demo.db"
LOGS_URL = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}/afterword/"


def database_file(client: afterword.Client) -> Path | None:
    """The path of the client's database, or None when its store is not a file."""
    path = getattr(client.store, "path", None)
    return Path(path) if isinstance(path, str) else None


def record_place(client: afterword.Client) -> str:
    """The path of the client's database, or its store's URL without secrets."""
    return str(database_file(client) or client.store.url)
