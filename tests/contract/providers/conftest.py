"""Fixtures of the provider contract: a provider on loopback, a store in memory, each kind of call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from calling import done
from kits import KITS, Kit
from provider_server import ProviderServer, Scene

import afterword
from afterword.model import Generation


@pytest.fixture(scope="session")
def provider_server() -> Iterator[ProviderServer]:
    server = ProviderServer()
    yield server
    server.stop()


@pytest.fixture
def scene(provider_server: ProviderServer) -> Callable[..., Scene]:
    return provider_server.scene


@pytest.fixture
def client() -> Iterator[afterword.Client]:
    """The default client, with a store of its own; nothing of ours may have gone wrong in it."""
    made = afterword.configure("memory:", project="contract")
    yield made
    assert made.status().faults == 0
    made.close()


@pytest.fixture
def records(client: afterword.Client) -> Callable[[], list[Generation]]:
    """Every generation recorded so far, oldest first."""

    def read() -> list[Generation]:
        found: Any = client.generations(limit=500).items
        return list(reversed(found))

    return read


@pytest.fixture(params=KITS, ids=lambda kit: kit.name)
def kit(request: pytest.FixtureRequest) -> Kit:
    found: Kit = request.param
    return found


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def connect(kit: Kit, mode: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes bare clients of the SDK, which are closed when the test is over."""
    made: list[Any] = []

    def make(scene: Scene, **options: Any) -> Any:
        made.append(kit.client(scene.base_url, mode, **options))
        return made[-1]

    yield make
    for client in made:
        await done(client.close())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
