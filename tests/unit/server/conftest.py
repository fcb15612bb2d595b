"""A client over each real store, and the Logs pages over it: alone, mounted, mounted deep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_calls import HOST
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.server import create_app


@pytest.fixture(params=["memory", "sqlite"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/logs.db"
    client = Client(url, "bot")
    yield client
    client.close()


@pytest.fixture(params=["", "/afterword", "/tools/after word"])
def root(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def web(client: Client, root: str) -> TestClient:
    app = create_app(client)
    mounted = Starlette(routes=[Mount(root, app)]) if root else app
    return TestClient(mounted, base_url=HOST + root, raise_server_exceptions=False)


@pytest.fixture
def plain_web(client: Client) -> TestClient:
    return TestClient(create_app(client), base_url=HOST, raise_server_exceptions=False)
