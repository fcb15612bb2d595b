"""What the unit tests of the lower layers share: one client in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from afterword import Client


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client("memory:", project="main")
    yield client
    client.close()
