"""Chat completions and completions: what only OpenAI, and who speaks the same, has."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from provider_server import Events, Json, Scene
from pydantic import BaseModel

import afterword
from afterword.model import Generation

Records = Callable[[], list[Generation]]
Ask = dict[str, Any]
ASK: Ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


class Verdict(BaseModel):
    score: int
    why: str | None


@pytest.fixture
def connect(connect: Any) -> Any:
    def make(play: Scene, kind: Any = openai.OpenAI, **options: Any) -> Any:
        return connect(kind, **{"base_url": f"{play.base_url}/v1", **options})

    return make


def reply(*messages: dict[str, Any], **others: Any) -> Any:
    choices = [
        {"index": index, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
        for index, message in enumerate(messages)
    ]
    return Json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": choices,
            **others,
        }
    )


def chunks(
    *choices: tuple[int, dict[str, Any], str | None], then: str = "end", **others: Any
) -> Any:
    first = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [
        (None, {**first, "choices": [{"index": index, "delta": delta, "finish_reason": reason}]})
        for index, delta, reason in choices
    ]
    tail = [(None, {**first, "choices": [], **others})] if others else []
    return Events([*events, *tail, (None, "[DONE]")], then)


def test_structured_output_is_parsed_and_recorded_as_the_text_it_came_in(
    scene: Any, connect: Any, records: Records
) -> None:
    text = '{"score": 3, "why": null}'
    play = scene(reply({"content": text}))
    client = connect(play)
    got = client.chat.completions.parse(**ASK, response_format=Verdict)
    assert got.choices[0].message.parsed == Verdict(score=3, why=None)
    [found] = records()
    assert found.output == {"role": "assistant", "content": text}
    assert found.inputs == {k: v for k, v in play.sent[0].body.items() if k not in ASK}
    assert found.inputs["response_format"]["json_schema"]["name"] == "Verdict"


def test_structured_output_that_was_cut_off_is_an_error_with_what_had_come(
    scene: Any, connect: Any, records: Records
) -> None:
    cut = reply({"content": '{"score": '}, usage={"prompt_tokens": 4, "completion_tokens": 5})
    cut.body["choices"][0]["finish_reason"] = "length"
    with pytest.raises(openai.LengthFinishReasonError):
        connect(scene(cut)).chat.completions.parse(**ASK, response_format=Verdict)
    [found] = records()
    assert found.status == "error"
    assert found.error is not None
    assert found.error.type == "openai.LengthFinishReasonError"
    assert found.output == {"role": "assistant", "content": '{"score": '}
    assert found.usage == afterword.Usage(4, 5)
    assert found.metadata is not None
    assert found.metadata["finish_reason"] == "length"


def test_a_parsed_object_of_the_users_own_is_never_opened(
    scene: Any, connect: Any, records: Records
) -> None:
    class Wary(BaseModel):
        score: int

        def __getattribute__(self, name: str) -> Any:
            if name in ("model_dump", "dict") or opened:
                opened.append(name)
            return super().__getattribute__(name)

    opened: list[str] = []
    client = connect(scene(reply({"content": '{"score": 3}'})))
    got = client.chat.completions.parse(**ASK, response_format=Wary)
    assert not opened
    assert got.choices[0].message.parsed.score == 3
    assert records()[0].output == {"role": "assistant", "content": '{"score": 3}'}


def test_several_choices_are_all_recorded_streamed_and_not(
    scene: Any, connect: Any, records: Records
) -> None:
    play = scene(
        reply({"content": "One"}, {"content": "Two"}),
        chunks(
            (0, {"role": "assistant", "content": ""}, None),
            (1, {"role": "assistant", "content": ""}, None),
            (1, {"content": "T"}, None),
            (0, {"content": "On"}, None),
            (1, {"content": "wo"}, None),
            (0, {"content": "e"}, None),
            (0, {}, "stop"),
            (1, {}, "stop"),
        ),
    )
    client = connect(play)
    client.chat.completions.create(**ASK, n=2)
    list(client.chat.completions.create(**ASK, n=2, stream=True))
    for found in records():
        assert found.output == [
            {"role": "assistant", "content": "One"},
            {"role": "assistant", "content": "Two"},
        ]
        assert found.metadata is not None
        assert found.metadata["finish_reason"] == ["stop", "stop"]


def test_several_tool_calls_and_a_refusal_are_put_together(
    scene: Any, connect: Any, records: Records
) -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        named = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, "function": function, **named}]}

    play = scene(
        chunks(
            (0, {"role": "assistant", "content": None}, None),
            (0, call(0, name="weather", arguments=""), None),
            (0, call(0, arguments='{"a"'), None),
            (0, call(1, name="time", arguments=""), None),
            (0, call(0, arguments=": 1}"), None),
            (0, call(1, arguments="{}"), None),
            (0, {}, "tool_calls"),
        ),
        chunks(
            (0, {"role": "assistant", "refusal": "I "}, None), (0, {"refusal": "won't"}, "stop")
        ),
    )
    client = connect(play)
    list(client.chat.completions.create(**ASK, stream=True))
    list(client.chat.completions.create(**ASK, stream=True))
    called, refused = records()
    assert [(one["id"], one["type"], one["function"]) for one in called.output["tool_calls"]] == [
        ("call_0", "function", {"name": "weather", "arguments": '{"a": 1}'}),
        ("call_1", "function", {"name": "time", "arguments": "{}"}),
    ]
    assert refused.output == {"role": "assistant", "content": None, "refusal": "I won't"}


def test_fields_the_sdk_does_not_know_are_kept(scene: Any, connect: Any, records: Records) -> None:
    play = scene(
        reply({"content": "4", "reasoning_content": "2 + 2"}),
        chunks(
            # Some servers say the role, or an ID, in every chunk.
            (0, {"role": "assistant", "reasoning_content": "2 "}, None),
            (0, {"role": "assistant", "reasoning_content": "+ 2"}, None),
            (0, {"role": "assistant", "content": "4"}, None),
            (0, {"role": "assistant", "content": ""}, "stop"),
        ),
    )
    client = connect(play)
    client.chat.completions.create(**ASK)
    list(client.chat.completions.create(**ASK, stream=True))
    for found in records():
        assert found.output == {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}
    assert records()[1].first_token_ms is not None


def test_usage_is_recorded_only_when_it_was_asked_for_and_nothing_asks_for_it(
    scene: Any, connect: Any, records: Records
) -> None:
    text = [(0, {"content": "Hi"}, None), (0, {}, "stop")]
    play = scene(chunks(*text), chunks(*text, usage={"prompt_tokens": 1, "completion_tokens": 2}))
    client = connect(play)
    list(client.chat.completions.create(**ASK, stream=True))
    list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert "stream_options" not in play.sent[0].body
    without, with_usage = records()
    assert without.usage is None
    assert with_usage.usage == afterword.Usage(1, 2)
    assert with_usage.inputs["stream_options"] == {"include_usage": True}


def test_an_error_within_the_stream_is_recorded_with_what_had_come(
    scene: Any, connect: Any, records: Records
) -> None:
    play = scene(chunks((0, {"role": "assistant", "content": "Half"}, None)))
    play.replies[0].events[1:] = [(None, {"error": {"message": "worn out", "type": "server"}})]
    with pytest.raises(openai.APIError, match="worn out"):
        list(connect(play).chat.completions.create(**ASK, stream=True))
    [found] = records()
    assert found.error == afterword.GenerationError("openai.APIError", "worn out")
    assert found.output == {"role": "assistant", "content": "Half"}


def test_who_answered_and_where_is_kept_beside(scene: Any, connect: Any, records: Records) -> None:
    play = scene(reply({"content": "Hi"}, model="gpt-4o-mini-2026-01-01"))
    connect(play).chat.completions.create(**ASK)
    [found] = records()
    assert found.model == "gpt-4o-mini"
    assert found.metadata is not None
    assert found.metadata["provider_model"] == "gpt-4o-mini-2026-01-01"
    assert found.metadata["provider_id"] == "chatcmpl-1"
    assert found.metadata["base_url"] == f"{play.base_url}/v1"


def test_keys_never_reach_the_record(scene: Any, connect: Any, records: Records) -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    play = scene(reply({"content": f"Your key is {secret}"}))
    client = connect(play, api_key=secret, default_headers={"X-Key": secret})
    messages = [{"role": "user", "content": f"My key is {secret}"}]
    client.chat.completions.create(model="m", messages=messages, user=secret)
    [found] = records()
    assert secret not in json.dumps([found.inputs, found.messages, found.output, found.metadata])
    assert play.sent[0].headers["authorization"] == f"Bearer {secret}"


def test_a_client_of_azure_is_captured(scene: Any, connect: Any, records: Records) -> None:
    play = scene(reply({"content": "Hi"}))
    client = connect(
        play,
        openai.AzureOpenAI,
        base_url=None,
        azure_endpoint=play.base_url,
        api_version="2025-01-01",
    )
    assert isinstance(client, openai.AzureOpenAI)
    client.chat.completions.create(**ASK)
    client.with_options(timeout=3).chat.completions.create(**ASK)
    assert {sent.path for sent in play.sent} == {"openai/deployments/gpt-4o-mini/chat/completions"}
    assert [one.output["content"] for one in records()] == ["Hi", "Hi"]


def test_completions_of_the_older_kind_are_text(scene: Any, connect: Any, records: Records) -> None:
    def part(text: str, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}
        first = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
        return {**first, "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}

    streamed = [(None, part("Hel")), (None, part("lo", "stop")), (None, "[DONE]")]
    client = connect(scene(Json(part("Hello", "stop")), Events(streamed)))
    client.completions.create(model="m", prompt="Say hello", max_tokens=5)
    list(client.completions.create(model="m", prompt="Say hello", max_tokens=5, stream=True))
    plain, stream = records()
    assert plain.name == stream.name == "openai.completions"
    assert plain.output == stream.output == "Hello"
    assert plain.inputs == {"prompt": "Say hello", "max_tokens": 5}
    assert plain.messages is None
    assert plain.usage == stream.usage == afterword.Usage(1, 2)
    assert stream.first_token_ms is not None


def test_a_reply_that_is_no_json_does_not_disturb(
    scene: Any, connect: Any, records: Records
) -> None:
    client = connect(scene(Json("just a text")))
    got = client.chat.completions.create(**ASK)
    assert got == "just a text"
    [found] = records()
    assert found.status == "ok"
