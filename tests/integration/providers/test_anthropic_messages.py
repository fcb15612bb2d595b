"""Messages: what only Anthropic has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from provider_server import Events, Json, Scene
from pydantic import BaseModel

import afterword
from afterword.model import Generation

Records = Callable[[], list[Generation]]
ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}


class Verdict(BaseModel):
    score: int


@pytest.fixture
def connect(connect: Any) -> Any:
    def make(play: Scene, kind: Any = anthropic.Anthropic, **options: Any) -> Any:
        return connect(kind, **{"base_url": play.base_url, **options})

    return make


def message(*content: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 7},
        **others,
    }


def events(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], **others: Any) -> Events:
    started = message(stop_reason=None, usage={"input_tokens": 5, "output_tokens": 1, **others})
    found: list[dict[str, Any]] = [{"type": "message_start", "message": started}]
    for index, (block, deltas) in enumerate(blocks):
        found.append({"type": "content_block_start", "index": index, "content_block": block})
        for delta in deltas:
            found.append({"type": "content_block_delta", "index": index, "delta": delta})
        found.append({"type": "content_block_stop", "index": index})
    found.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        }
    )
    found.append({"type": "message_stop"})
    return Events([(event["type"], event) for event in found])


CITATION = {
    "type": "char_location",
    "cited_text": "rain",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 4,
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "I greet them.", "signature": "c2lnbmVk"},
    {"type": "text", "text": "Rain, says it.", "citations": [CITATION]},
    {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}},
    {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Bern", "x": None}},
]


def test_thinking_citations_and_tools_are_the_same_streamed_and_not(
    scene: Any, connect: Any, records: Records
) -> None:
    streamed = events(
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [
                {"type": "thinking_delta", "thinking": "I greet"},
                {"type": "thinking_delta", "thinking": " them."},
                {"type": "signature_delta", "signature": "c2lnbmVk"},
            ],
        ),
        (
            {"type": "text", "text": "", "citations": []},
            [
                {"type": "text_delta", "text": "Rain, "},
                {"type": "citations_delta", "citation": CITATION},
                {"type": "text_delta", "text": "says it."},
            ],
        ),
        ({**BLOCKS[2]}, [{"type": "input_json_delta", "partial_json": ""}]),
        (
            {**BLOCKS[3], "input": {}},
            [
                {"type": "input_json_delta", "partial_json": '{"city": "Be'},
                {"type": "input_json_delta", "partial_json": 'rn", "x": null}'},
            ],
        ),
    )
    client = connect(scene(Json(message(*BLOCKS)), streamed, streamed))
    client.messages.create(**ASK)
    list(client.messages.create(**ASK, stream=True))
    with client.messages.stream(**ASK) as stream:
        final = stream.get_final_message()
    assert final.content[3].input == {"city": "Bern", "x": None}
    for found in records():
        assert found.output == {"role": "assistant", "content": BLOCKS}
        assert found.usage == afterword.Usage(5, 7)


def test_cached_tokens_count_as_input_and_are_kept_beside(
    scene: Any, connect: Any, records: Records
) -> None:
    usage = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 2000,
        "output_tokens": 7,
    }
    text = {"type": "text", "text": "Hi"}
    empty = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hi"}])
    cached = {name: usage[name] for name in usage if name.startswith("cache")}
    client = connect(scene(Json(message(text, usage=usage)), events(empty, **cached)))
    client.messages.create(**ASK)
    list(client.messages.create(**ASK, stream=True))
    for found in records():
        assert found.usage == afterword.Usage(2105, 7)
        assert found.metadata is not None
        assert found.metadata["provider_usage"] == usage


def test_a_tool_s_input_that_was_cut_off_is_kept_as_the_text_it_is(
    scene: Any, connect: Any, records: Records
) -> None:
    script = events(
        ({**BLOCKS[3], "input": {}}, [{"type": "input_json_delta", "partial_json": '{"city": "Be'}])
    )
    script.events[3:], script.then = [], "cut"
    with pytest.raises(Exception) as got:
        list(connect(scene(script)).messages.create(**ASK, stream=True))
    [found] = records()
    assert found.error is not None
    assert found.error.type.endswith(type(got.value).__qualname__)
    assert found.output["content"] == [{**BLOCKS[3], "input": '{"city": "Be'}]
    assert found.usage == afterword.Usage(5, 1)


def test_an_error_event_is_the_error_the_sdk_raises(
    scene: Any, connect: Any, records: Records
) -> None:
    script = events(({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Half"}]))
    error = {"type": "overloaded_error", "message": "Overloaded"}
    script.events[3:] = [("error", {"type": "error", "error": error})]
    with pytest.raises(anthropic.APIStatusError) as got:
        list(connect(scene(script)).messages.create(**ASK, stream=True))
    [found] = records()
    assert found.error == afterword.GenerationError(
        f"{type(got.value).__module__}.{type(got.value).__qualname__}", str(got.value)
    )
    assert found.output == {"role": "assistant", "content": "Half"}


def test_only_the_texts_can_be_read(scene: Any, connect: Any, records: Records) -> None:
    text = [{"type": "text_delta", "text": piece} for piece in ("Hel", "lo")]
    client = connect(scene(events(({"type": "text", "text": ""}, text))))
    with client.messages.stream(**ASK) as stream:
        assert list(stream.text_stream) == ["Hel", "lo"]
    with client.messages.stream(**ASK) as stream:
        assert stream.get_final_text() == "Hello"
    assert [found.output["content"] for found in records()] == ["Hello", "Hello"]


def test_structured_output_is_parsed_and_recorded_as_its_text(
    scene: Any, connect: Any, records: Records
) -> None:
    client = connect(scene(Json(message({"type": "text", "text": '{"score": 3}'}))))
    got = client.messages.parse(**ASK, output_format=Verdict)
    assert got.parsed_output == Verdict(score=3)
    [found] = records()
    assert found.output == {"role": "assistant", "content": '{"score": 3}'}
    assert found.inputs["output_config"]["format"]["type"] == "json_schema"


def test_what_was_not_said_is_not_in_the_inputs(scene: Any, connect: Any, records: Records) -> None:
    connect(scene(Json(message()))).messages.create(**ASK)
    [found] = records()
    assert found.inputs == {"max_tokens": 50}
    assert found.output == {"role": "assistant", "content": []}


def test_messages_may_be_the_sdks_objects_and_any_iterable(
    scene: Any, connect: Any, records: Records
) -> None:
    play = scene(Json(message({"type": "text", "text": "Hi"})))
    client = connect(play)
    first = client.messages.create(**ASK)
    said = [*ASK["messages"], {"role": "assistant", "content": first.content}]
    client.messages.create(**{**ASK, "messages": said, "system": [{"type": "text", "text": "S"}]})
    client.messages.create(**{**ASK, "messages": (one for one in said)})
    assert len(play.sent[2].body["messages"]) == 2  # the SDK got all of them
    _, second, third = records()
    assert second.messages[0] == {"role": "system", "content": [{"type": "text", "text": "S"}]}
    assert second.messages[2]["content"][0]["text"] == "Hi"
    assert third.messages == "<builtins.generator>"


def test_beta_messages_and_their_tool_runner_are_captured(
    scene: Any, connect: Any, records: Records
) -> None:
    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather.

        Args:
            city: Where.
        """
        return f"rain in {city}"

    play = scene(
        Json(message({**BLOCKS[3], "input": {"city": "Bern"}}, stop_reason="tool_use")),
        Json(message({"type": "text", "text": "Rain in Bern."})),
    )
    client = connect(play)

    @afterword.generation
    def answer() -> str:
        runner = client.beta.messages.tool_runner(**ASK, tools=[weather])
        return runner.until_done().content[0].text

    assert answer() == "Rain in Bern."
    top, first, second = records()
    assert first.parent_id == second.parent_id == top.id
    assert first.metadata is not None
    assert first.metadata["finish_reason"] == "tool_use"
    assert "rain in Bern" in str(second.messages)
    assert top.usage == afterword.Usage(10, 14)


def test_a_packed_body_is_read(scene: Any, connect: Any, records: Records) -> None:

    reply = Json(message({"type": "text", "text": "Hi"}), packed=True)
    client = connect(scene(reply))
    client.messages.create(**ASK)
    client.messages.with_raw_response.create(**ASK)
    with client.messages.with_streaming_response.create(**ASK) as response:
        assert b"".join(response.iter_bytes()).startswith(b"{")
    assert [found.output["content"] for found in records()] == ["Hi"] * 3
