"""The stores under contract. A further backend is one more line in `STORES`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterword.stores import Store, open_store

sys.path.append(str(Path(__file__).parents[2]))

import api_server  # noqa: E402
from postgres_server import new_database  # noqa: E402

STORES: dict[str, Callable[[Path], str]] = {
    "memory": lambda folder: "memory:",
    "sqlite": lambda folder: f"sqlite:///{folder / 'afterword.db'}",
    "postgresql": lambda folder: new_database(),
    "http": api_server.start,
}


@pytest.fixture(scope="module", params=STORES)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A store, shared by the tests of a module, which keep apart by projects and IDs of their own."""
    store = open_store(STORES[request.param](tmp_path_factory.mktemp("store")))
    yield store
    store.close()
    _stop_servers(request.param)


@pytest.fixture(params=STORES)
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = open_store(STORES[request.param](tmp_path))
    yield store
    store.close()
    _stop_servers(request.param)


@pytest.fixture(params=[name for name in STORES if name != "http"])
def own_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind that keeps its records itself."""
    store = open_store(STORES[request.param](tmp_path))
    yield store
    store.close()


def _stop_servers(name: str) -> None:
    # The shared store's server runs on while tests of the module take empty stores beside it.
    if name == "http":
        api_server.stop_last()
