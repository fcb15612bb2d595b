"""The unmodified Humanloop SDK, in an environment of its own, against our server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterword import Client
from afterword.prompts import PromptShelf, make_version
from afterword.server import create_app

sys.path.append(str(Path(__file__).parents[1] / "contract" / "providers"))
sys.path.append(str(Path(__file__).parent / "humanloop_sdk"))

from environments import said  # noqa: E402
from provider_server import ProviderServer, Scene  # noqa: E402
from serving import openai_like, served  # noqa: E402

KEY = "sk-of-the-caller-0123456789"
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderServer]:
    server = ProviderServer()
    yield server
    server.stop()


@pytest.fixture
def scene(provider: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = provider.scene(openai_like)
    monkeypatch.setenv("OPENAI_BASE_URL", scene.base_url)
    return scene


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Client]:
    client = Client(f"sqlite:///{tmp_path}/logs.db", "default")
    yield client
    client.close()


def test_the_guide_runs_with_the_sdk_of_0_7_35(
    stored: Client, scene: Scene, tmp_path: Path
) -> None:
    with served(create_app(stored)) as base_url:
        seen = said("guide_objects.py", "humanloop==0.7.35", f"{base_url}/v4", KEY)
    data_id = seen["completed"]["id"]
    assert seen["completed"]["output"] == "So."
    assert seen["first"] == {"type": "rating", "value": "good", "data_id": data_id}
    assert seen["named"] == "user_123456"
    assert seen["several"] == [["rating", "bad"], ["correction", "A user provided completion..."]]
    assert seen["unset"] == ["FeedbackResponse", ""]
    assert seen["chat_deployed"] == "So. "
    assert [inputs for _, inputs in seen["complete"]] == [{}, {}]
    assert len({found for found, _ in seen["complete"]}) == 2
    assert seen["usage"] == 14
    assert seen["by_config"] == "So."
    for name in ("streamed", "streamed_chat"):
        assert "".join(chunk["output"] for chunk in seen[name]) == "So.\u2028"
        assert [chunk["finish_reason"] for chunk in seen[name]] == [None, "stop"]
        assert seen[name][0]["model_config_id"] == seen["config"]
    assert seen["project"][:2] == ["support-bot", seen["config"]]
    assert seen["types"] == ["rating", "action", "issue", "correction", "comment"]
    # complete_deployed, chat_deployed, chat, two of complete, by config, two streams, one log.
    assert seen["project"][2] == seen["total"] == seen["exported"] == 9
    assert seen["log"] == ["ref1", "2024-01-02T03:04:05+00:00", "good"]
    assert seen["updated"] == "later"
    assert seen["configs"] == 4
    assert seen["active"] == seen["config"]
    assert seen["session"] == "later"
    assert seen["mood"] == "mood"
    assert seen["deleted"] == [404, True]
    assert seen["refused"][0] == 422
    assert "good, bad" in seen["refused"][1]

    generation = stored.get(data_id)
    assert generation is not None
    assert generation.version == seen["config"]
    assert generation.messages == [
        {"role": "user", "content": "Answer: How should I think about competition?"}
    ]
    current = [(found.type, found.value, found.user) for found in generation.feedback]
    assert current == [
        ("rating", "bad", None),
        ("correction", "A user provided completion...", None),
    ]
    streamed = stored.get(seen["streamed"][0]["id"])
    assert streamed is not None
    assert (streamed.status, streamed.output) == ("ok", "So.\u2028")
    assert streamed.usage is not None
    assert streamed.first_token_ms is not None
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (3, 2)
    # The key that came with the calls went to the provider and nowhere else.
    assert {sent.headers["authorization"] for sent in scene.sent} == {f"Bearer {KEY}"}
    stored.flush()
    assert not [
        path for path in tmp_path.iterdir() if path.is_file() and KEY.encode() in path.read_bytes()
    ]


@pytest.mark.long
def test_the_guide_runs_with_the_sdk_of_0_7_32(stored: Client, scene: Scene) -> None:
    with served(create_app(stored)) as base_url:
        seen = said("guide_objects.py", "humanloop==0.7.32", f"{base_url}/v4", KEY)
    assert seen["completed"]["output"] == "So."
    assert seen["unset"] == ["FeedbackResponse", ""]


@pytest.mark.long
@pytest.mark.parametrize("version", ["0.5.18", "0.4.17"])
def test_the_older_guide_runs_with_the_sdks_that_give_bodies(
    stored: Client, scene: Scene, version: str
) -> None:
    version_kept = make_version(model="gpt-4o", template="Answer: {{question}}")
    PromptShelf(stored.store).register("support-bot", version_kept, deploy_first=True)
    with served(create_app(stored)) as base_url:
        seen: dict[str, Any] = said(
            "guide_bodies.py", f"humanloop=={version}", f"{base_url}/v4", KEY
        )
    generation = stored.get(seen["completed"]["id"])
    assert generation is not None
    assert generation.output == "So. "
    assert seen["completed"]["output"] == "So."
    assert seen["first"] == ["ApiResponseFor200", "good"]
    assert seen["several"] == ["bad", "A user provided completion..."]
    assert seen["session"] == "ApiResponseFor201"
    assert seen["experiment"] == [410, True]
    assert [found.value for found in generation.feedback] == [
        "good", "bad", "A user provided completion...",
    ]  # fmt: skip
