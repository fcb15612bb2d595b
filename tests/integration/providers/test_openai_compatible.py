"""SDKs of other providers that are of the same make as OpenAI's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from provider_server import Json
from pydantic import BaseModel

import afterword
from afterword.model import Generation

Records = Callable[[], list[Generation]]


class Completions:
    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, **body: Any) -> Any:
        options = SimpleNamespace(method="post", url="/openai/v1/chat/completions", json_data=body)
        return self._client.request(dict, options)


class Client:
    """As small as a client of that make can be."""

    def __init__(self, base_url: str) -> None:
        self.base_url = httpx.URL(base_url)

    @functools.cached_property
    def chat(self) -> Any:
        return SimpleNamespace(completions=Completions(self))

    def request(self, cast_to: type, options: Any) -> Any:
        url = f"{self.base_url}{options.url}"
        return httpx.post(url, json=options.json_data).json()

    def copy(self) -> Client:
        return Client(str(self.base_url))


class Piece(BaseModel):
    index: int = 0
    delta: dict[str, Any]
    finish_reason: str | None = None


class Chunk(BaseModel):
    """A chunk as some gateway's package makes it."""

    object: str = "chat.completion.chunk"
    id: str = "1"
    choices: list[Piece]


@pytest.mark.parametrize("made", ["captured", "copied"])
def test_calls_are_recorded_under_the_name_of_the_sdk(
    made: str, scene: Any, records: Records
) -> None:
    message = {"role": "assistant", "content": "Yes."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    reply = {
        "model": "m", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }  # fmt: skip
    play = scene(Json(reply))
    client = afterword.capture(Client(play.base_url))
    if made == "copied":
        client = client.copy()
    asked = [{"role": "user", "content": "Well?"}]
    assert client.chat.completions.create(model="m", messages=asked, top_p=1) == reply
    [found] = records()
    assert found.name == f"{__name__.partition('.')[0]}.chat.completions"
    assert found.provider == __name__.partition(".")[0]
    assert found.messages == asked
    assert found.inputs == {"top_p": 1}
    assert found.output == message
    assert found.usage == afterword.Usage(1, 2)
    assert found.metadata is not None
    assert found.metadata["base_url"] == play.base_url


def test_chunks_of_other_packages_are_known_by_their_shape(records: Records) -> None:
    @afterword.generation
    def answer() -> Iterator[Chunk]:
        yield Chunk(choices=[Piece(delta={"role": "assistant", "content": ""})])
        yield Chunk(choices=[Piece(delta={"content": "Ye"})])
        yield Chunk(choices=[Piece(delta={"content": "s."})])
        yield Chunk(choices=[Piece(delta={}, finish_reason="stop")])

    list(answer())
    assert records()[0].output == {"role": "assistant", "content": "Yes."}


def test_a_stream_of_ones_own_dicts_stays_a_list(records: Records) -> None:
    mine = [{"type": "ping"}, {"type": "message_start", "n": 1}, {"object": "text_completion"}]

    @afterword.generation
    def answer(first: int) -> Iterator[dict[str, Any]]:
        yield from mine[first:] + mine[:first]

    for first in range(3):
        list(answer(first))
        assert records()[-1].output == mine[first:] + mine[:first]
