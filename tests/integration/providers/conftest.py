"""The contract suite's provider on loopback, for what is one provider's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import afterword
from afterword.model import Generation

sys.path.append(str(Path(__file__).parents[2] / "contract" / "providers"))

from provider_server import ProviderServer, Scene  # noqa: E402


@pytest.fixture(scope="session")
def provider_server() -> Iterator[ProviderServer]:
    server = ProviderServer()
    yield server
    server.stop()


@pytest.fixture
def scene(provider_server: ProviderServer) -> Callable[..., Scene]:
    return provider_server.scene


@pytest.fixture
def records() -> Iterator[Callable[[], list[Generation]]]:
    """Reads every generation recorded so far, oldest first, in a store of the test's own."""
    made = afterword.configure("memory:", project="providers")

    def read() -> list[Generation]:
        found: Any = made.generations(limit=500).items
        return list(reversed(found))

    yield read
    assert made.status().faults == 0
    made.close()


@pytest.fixture
def connect(scene: Any) -> Iterator[Callable[..., Any]]:
    """Makes captured clients of a given class, which are closed when the test is over."""
    made: list[Any] = []

    def make(kind: Any, **options: Any) -> Any:
        package = sys.modules[kind.__module__.partition(".")[0]]
        http = package.DefaultHttpxClient(verify=False)
        options = {"api_key": "k", "max_retries": 0, "http_client": http, **options}
        made.append(kind(**options))
        return afterword.capture(made[-1])

    yield make
    for client in made:
        client.close()
