"""What the tests of the web layer share: one client in memory, with a secret."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from feedback_desk import LISTED, NOW_S, Desk

from afterword import Client
from afterword.asgi.issuing import Issuer, set_issuer


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client("memory:", project="web", secret="k1:0123456789abcdef0123456789abcdef")
    yield client
    client.close()
    assert client.status().dropped == 0


@pytest.fixture
def issuer(client: Client) -> Iterator[Issuer]:
    """What mints the tokens here, at a fixed time."""
    issuer = Issuer(client, now_s=lambda: NOW_S + 0.9)
    set_issuer(issuer)
    yield issuer
    set_issuer(None)


@pytest.fixture
def desk(client: Client) -> Desk:
    return Desk(client)


@pytest.fixture
def listing(client: Client) -> Desk:
    """Routes that take posts of one other origin too."""
    return Desk(client, origins=frozenset({LISTED}))
