"""The running demo and its model, shared by the acceptance tests that need a real answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from demo_process import Demo, demo_running

from afterword.server.local_model import LocalModel


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo_running(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="session")
def local_model() -> Iterator[LocalModel]:
    """The demo's model, in the test's own process."""
    model = LocalModel.load()
    yield model
    model.close()
