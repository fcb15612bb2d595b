"""Streams of Humanloop's API over real connections: a provider that breaks off, a client that leaves."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from afterword import Client
from afterword.server import create_app

sys.path.append(str(Path(__file__).parents[1] / "contract" / "providers"))
sys.path.append(str(Path(__file__).parent / "humanloop_sdk"))

from provider_server import Events, ProviderServer  # noqa: E402
from serving import served  # noqa: E402

BODY = {
    "project": "demo",
    "model_config": {"model": "gpt-4o", "prompt_template": "Q {{question}}"},
    "inputs": {"question": "x"},
    "stream": True,
}
FIRST = {"choices": [{"index": 0, "delta": {"content": "So"}}]}


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderServer]:
    server = ProviderServer()
    yield server
    server.stop()


def data_of(line: str) -> dict[str, Any]:
    assert line.startswith("data: ")
    found: dict[str, Any] = json.loads(line[6:])
    return found


@pytest.mark.parametrize("then", ["cut", "end"])
def test_a_provider_that_breaks_off_breaks_the_stream_and_the_record_says_so(
    client: Client, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", provider.scene(Events([(None, FIRST)], then)).base_url)
    lines: list[str] = []
    with served(create_app(client)) as base_url:
        with httpx.stream("POST", f"{base_url}/v4/completion", json=BODY, trust_env=False) as reply:
            assert reply.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                for line in reply.iter_lines():
                    lines.append(line)
    generation = client.get(data_of(lines[0])["data"][0]["id"])
    assert generation is not None
    assert (generation.status, generation.output) == ("error", "So")


def test_a_client_that_leaves_ends_the_call_and_what_came_is_kept(
    client: Client, provider: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = provider.scene(Events([(None, FIRST)], "silence"))
    monkeypatch.setenv("OPENAI_BASE_URL", scene.base_url)
    is_over = threading.Event()
    put = client.recorder.put

    def noting(record: Any) -> None:
        put(record)
        if record.columns["status"] != "running":
            is_over.set()

    monkeypatch.setattr(client.recorder, "put", noting)
    with served(create_app(client)) as base_url:
        with httpx.stream("POST", f"{base_url}/v4/completion", json=BODY, trust_env=False) as reply:
            # Held on to, since the connection is closed when the lines are let go.
            lines = reply.iter_lines()
            first = next(filter(None, lines))
            # The stub is there before the answer is, so that a crash leaves what was asked.
            running = client.get(data_of(first)["data"][0]["id"])
            assert running is not None
            assert running.status == "running"
        assert is_over.wait(30)
    generation = client.get(running.id)
    assert generation is not None
    assert (generation.status, generation.output) == ("abandoned", "So")
