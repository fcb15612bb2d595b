"""Responses: what only they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest
from provider_server import Events, Json, Scene
from pydantic import BaseModel

import afterword
from afterword.model import Generation

Records = Callable[[], list[Generation]]
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Hi"}
TEXT = {"type": "output_text", "text": "Hello", "annotations": []}
MESSAGE = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [TEXT],
}  # fmt: skip
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "I greet."}],
}


class Verdict(BaseModel):
    score: int


def response(*output: Any, status: str = "completed", **others: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4o-mini",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        **others,
    }


def events(*found: dict[str, Any], then: str = "end") -> Any:
    return Events(
        [(event["type"], {**event, "sequence_number": n}) for n, event in enumerate(found)], then
    )


@pytest.fixture
def connect(connect: Any) -> Any:
    def make(play: Scene, kind: Any = openai.OpenAI, **options: Any) -> Any:
        return connect(kind, **{"base_url": f"{play.base_url}/v1", **options})

    return make


def test_structured_output_is_parsed_and_recorded_as_its_text(
    scene: Any, connect: Any, records: Records
) -> None:
    part = {**TEXT, "text": '{"score": 3}'}
    client = connect(scene(Json(response({**MESSAGE, "content": [part]}))))
    got = client.responses.parse(**ASK, text_format=Verdict)
    assert got.output_parsed == Verdict(score=3)
    [found] = records()
    assert found.output == {"role": "assistant", "content": '{"score": 3}'}
    assert found.inputs["text"]["format"]["name"] == "Verdict"


def test_reasoning_and_text_are_blocks_of_one_message(
    scene: Any, connect: Any, records: Records
) -> None:
    connect(scene(Json(response(REASONING, MESSAGE)))).responses.create(**ASK)
    [found] = records()
    assert found.output == {
        "role": "assistant",
        "content": [REASONING, {"type": "output_text", "text": "Hello"}],
    }


def test_a_conversation_of_items_is_kept_as_the_messages(
    scene: Any, connect: Any, records: Records
) -> None:
    said = [
        {"role": "user", "content": "Weather?"},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
    ]
    client = connect(scene(Json(response(MESSAGE))))
    client.responses.create(model="m", input=said, instructions="Be brief.", store=False)
    [found] = records()
    assert found.messages == [{"role": "system", "content": "Be brief."}, *said]
    assert found.inputs == {"store": False}


def test_a_response_that_failed_is_an_error_though_the_sdk_raises_none(
    scene: Any, connect: Any, records: Records
) -> None:
    error = {"code": "server_error", "message": "worn out"}
    failed = response(status="failed", error=error)
    play = scene(
        Json(failed),
        events(
            {"type": "response.created", "response": response(status="in_progress")},
            {"type": "response.failed", "response": failed},
        ),
    )
    client = connect(play)
    assert client.responses.create(**ASK).status == "failed"
    assert len(list(client.responses.create(**ASK, stream=True))) == 2
    for found in records():
        assert found.status == "error"
        assert found.error == afterword.GenerationError("openai.responses.server_error", "worn out")


def test_an_incomplete_response_says_why(scene: Any, connect: Any, records: Records) -> None:
    details = {"reason": "max_output_tokens"}
    play = scene(Json(response(MESSAGE, status="incomplete", incomplete_details=details)))
    connect(play).responses.create(**ASK)
    [found] = records()
    assert found.status == "ok"
    assert found.metadata is not None
    assert found.metadata["finish_reason"] == "max_output_tokens"


def test_every_kind_of_delta_of_an_unfinished_response_is_kept(
    scene: Any, connect: Any, records: Records
) -> None:
    def added(index: int, item: dict[str, Any]) -> dict[str, Any]:
        return {"type": "response.output_item.added", "output_index": index, "item": item}

    def delta(kind: str, index: int, text: str, **place: Any) -> dict[str, Any]:
        return {
            "type": f"response.{kind}.delta", "output_index": index, "item_id": "x",
            "delta": text, **place,
        }  # fmt: skip

    script = events(
        {"type": "response.created", "response": response(status="in_progress")},
        added(0, {**REASONING, "summary": []}),
        delta("reasoning_summary_text", 0, "I ", summary_index=0),
        delta("reasoning_summary_text", 0, "greet.", summary_index=0),
        added(1, {**MESSAGE, "content": []}),
        delta("output_text", 1, "Hel", content_index=0, logprobs=[]),
        delta("output_text", 1, "lo", content_index=0, logprobs=[]),
        delta("refusal", 1, "No.", content_index=1),
        added(
            2,
            {
                "type": "function_call",
                "id": "fc",
                "call_id": "c",
                "name": "weather",
                "arguments": "",
            },
        ),
        delta("function_call_arguments", 2, '{"ci'),
        then="cut",
    )
    with pytest.raises(openai.APIConnectionError):
        list(connect(scene(script)).responses.create(**ASK, stream=True))
    [found] = records()
    assert found.status == "error"
    assert found.output["content"] == [
        {**REASONING, "summary": [{"type": "summary_text", "text": "I greet."}]},
        {"type": "output_text", "text": "Hello"},
        {"type": "refusal", "refusal": "No."},
        {
            "type": "function_call",
            "id": "fc",
            "call_id": "c",
            "name": "weather",
            "arguments": '{"ci',
        },
    ]


def test_a_response_by_a_stored_prompt_has_the_model_that_answered(
    scene: Any, connect: Any, records: Records
) -> None:
    client = connect(scene(Json(response(MESSAGE))))
    client.responses.create(prompt={"id": "pmpt_1", "variables": {"name": "Ada"}})
    [found] = records()
    assert found.model == "gpt-4o-mini"
    assert found.inputs == {"prompt": {"id": "pmpt_1", "variables": {"name": "Ada"}}}
    assert found.messages is None


def test_reading_a_response_back_is_no_generation(
    scene: Any, connect: Any, records: Records
) -> None:
    client = connect(scene())
    with pytest.raises(openai.APIStatusError):
        client.responses.retrieve("resp_1")  # the loopback provider takes no GET
    assert records() == []
