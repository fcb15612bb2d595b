"""OpenAI's SDK against a real model that runs here: the demo's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

import afterword
from afterword.model import Generation
from afterword.server.local_model import MODEL_NAME, LocalModel

Records = Callable[[], list[Generation]]
ASK: dict[str, Any] = {
    "model": MODEL_NAME,
    "messages": [{"role": "user", "content": "Say one short sentence about tea."}],
    "max_tokens": 24,
    "temperature": 0,
    "seed": 7,
}


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    loaded = LocalModel.load()
    yield loaded
    loaded.close()


@pytest.fixture
def bare(model: LocalModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model.base_url, api_key=model.api_key, max_retries=0) as client:
        yield client


def test_a_real_model_s_answers_are_recorded_streamed_and_not(
    bare: openai.OpenAI, records: Records
) -> None:
    client = afterword.capture(bare)
    expected = bare.chat.completions.create(**ASK).choices[0].message.content
    assert expected
    assert client.chat.completions.create(**ASK).choices[0].message.content == expected
    asked = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    pieces = [
        choice.delta.content or ""
        for chunk in client.chat.completions.create(**asked)
        for choice in chunk.choices
    ]
    plain, streamed = records()
    for found in (plain, streamed):
        assert found.status == "ok"
        assert found.model == MODEL_NAME
        assert found.messages == ASK["messages"]
        assert found.usage is not None
        assert found.usage.output_tokens
        assert found.cost_usd is None
        assert found.metadata is not None
        assert found.metadata["base_url"] == str(bare.base_url).rstrip("/")
    assert plain.output["content"] == expected
    assert streamed.output["content"] == "".join(pieces)
    assert plain.first_token_ms is None
    assert streamed.duration_ms is not None
    assert 0 < (streamed.first_token_ms or 0) < streamed.duration_ms


def test_a_real_stream_that_is_left_keeps_what_had_come(
    bare: openai.OpenAI, records: Records
) -> None:
    seen = ""
    with afterword.capture(bare).chat.completions.create(**ASK, stream=True) as stream:
        for chunk in stream:
            seen += chunk.choices[0].delta.content or ""
            if len(seen) > 10:
                break
    [found] = records()
    assert found.status == "abandoned"
    assert found.output["content"] == seen
