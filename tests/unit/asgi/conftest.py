"""What the tests of the web layer share: one client in memory, with a secret."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from afterword import Client


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client("memory:", project="web", secret="k1:0123456789abcdef0123456789abcdef")
    yield client
    client.close()
