"""The v4 routes over a store in memory, and a provider on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.server import create_app

sys.path.append(str(Path(__file__).parents[3] / "contract" / "providers"))
sys.path.append(str(Path(__file__).parents[3] / "integration" / "humanloop_sdk"))

from provider_server import ProviderServer, Scene  # noqa: E402


@pytest.fixture(scope="session")
def provider_server() -> Iterator[ProviderServer]:
    server = ProviderServer()
    yield server
    server.stop()


@pytest.fixture
def openai_scene(
    provider_server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Scene]:
    def make(*replies: object) -> Scene:
        scene = provider_server.scene(*replies)
        monkeypatch.setenv("OPENAI_BASE_URL", scene.base_url)
        return scene

    return make


@pytest.fixture
def store_client() -> Iterator[Client]:
    client = Client("memory:", "bot")
    yield client
    client.close()


@pytest.fixture
def v4(store_client: Client) -> Iterator[TestClient]:
    app = create_app(store_client)
    with TestClient(app, base_url="http://127.0.0.1/v4/", raise_server_exceptions=False) as web:
        yield web
