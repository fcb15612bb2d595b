"""Completions and chats: what the provider is asked, what is kept, what failures look like."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from provider_server import Events, Json, ProviderServer, Scene
from serving import openai_like
from starlette.testclient import TestClient

from afterword.client import Client

CONFIG = {"model": "gpt-4o", "prompt_template": "Answer: {{question}}"}
Scenes = Callable[..., Scene]


def ask(v4: TestClient, path: str = "completion", status: int = 200, **fields: Any) -> Any:
    body: dict[str, Any] = {"project": "demo", "inputs": {"question": "How?"}, **fields}
    if path in ("completion", "chat"):
        body.setdefault("model_config", CONFIG)
    answer = v4.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def events(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.split("\n") if line]
    assert all(line.startswith("data: {") for line in lines)
    return [json.loads(line[6:]) for line in lines]


def test_parameters_tools_and_the_user_reach_the_provider(
    v4: TestClient, openai_scene: Scenes
) -> None:
    scene = openai_scene(openai_like)
    config = {
        "model": "gpt-4o",
        "chat_template": [{"role": "system", "content": "Be {{mood}}."}],
        "temperature": 0.5,
        "max_tokens": -1,
        "stop": ["\n"],
        "tools": [{"name": "look", "description": "Looks.", "parameters": {"type": "object"}}],
        "other": {"logit_bias": {"1": 2}},
    }
    messages = [{"role": "user", "content": "{{mood}}"}]
    ask(
        v4, "chat", model_config=config, messages=messages, inputs={"mood": "kind"}, user="u1",
        tool_choice="auto", response_format={"type": "json_object"}, provider_api_keys={"openai": "k"},
    )  # fmt: skip
    assert scene.sent[0].path == "chat/completions"
    assert scene.sent[0].headers["authorization"] == "Bearer k"
    look = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    assert scene.sent[0].body == {
        "model": "gpt-4o",
        "temperature": 0.5,
        "stop": ["\n"],
        "user": "u1",
        "logit_bias": {"1": 2},
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": look}],
        "tool_choice": "auto",
        # What a user wrote is no template.
        "messages": [{"role": "system", "content": "Be kind."}, *messages],
    }


def test_a_model_that_only_completes_is_asked_to_complete(
    v4: TestClient, openai_scene: Scenes
) -> None:
    scene = openai_scene(Json({"choices": [{"text": "So.", "finish_reason": "length"}]}))
    config = {**CONFIG, "model": "gpt-3.5-turbo-instruct"}
    answer = ask(v4, model_config=config, suffix="!", logprobs=1)
    assert scene.sent[0].path == "completions"
    assert scene.sent[0].body["prompt"] == "Answer: How?"
    assert (scene.sent[0].body["suffix"], scene.sent[0].body["logprobs"]) == ("!", 1)
    assert answer["data"][0]["finish_reason"] == "length"


def test_anthropic_is_asked_in_its_own_words(
    v4: TestClient, provider_server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = [
        {"type": "text", "text": "So."},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
    ]
    usage = {"input_tokens": 5, "output_tokens": 6}
    scene = provider_server.scene(
        Json({"content": content, "stop_reason": "tool_use", "usage": usage})
    )
    monkeypatch.setenv("ANTHROPIC_BASE_URL", scene.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "server-key")
    config = {
        "model": "claude",
        "provider": "anthropic",
        "chat_template": [{"role": "system", "content": "Be kind."}],
        "stop": "x",
        "tools": [{"name": "look", "parameters": {"type": "object"}}],
    }
    call = {"id": "t0", "type": "function", "function": {"name": "look", "arguments": '{"at":0}'}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t0", "content": "seen"},
    ]
    answer = ask(v4, "chat", model_config=config, messages=messages, tool_choice="required")
    sent = scene.sent[0]
    assert (sent.path, sent.headers["x-api-key"]) == ("v1/messages", "server-key")
    assert sent.body["system"] == "Be kind."
    assert sent.body["stop_sequences"] == ["x"]
    assert sent.body["tools"] == [{"name": "look", "input_schema": {"type": "object"}}]
    assert sent.body["tool_choice"] == {"type": "any"}
    assert sent.body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "t0", "name": "look", "input": {"at": 0}}
    ]
    assert sent.body["messages"][2]["content"][0]["tool_use_id"] == "t0"
    item = answer["data"][0]
    assert (item["output"], item["finish_reason"]) == ("So.", "tool_call")
    assert item["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at": 1}'}
    assert answer["usage"]["total_tokens"] == 11


def test_another_provider_is_found_by_its_name(
    v4: TestClient, provider_server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = provider_server.scene(openai_like)
    monkeypatch.setenv("AFTERWORD_PROVIDER_OUR_VLLM_BASE_URL", scene.base_url)
    monkeypatch.setenv("AFTERWORD_PROVIDER_OUR_VLLM_API_KEY", "their-key")
    ask(v4, model_config={**CONFIG, "provider": "our-vllm"})
    assert scene.sent[0].headers["authorization"] == "Bearer their-key"


def test_several_samples_are_logs_of_their_own_and_counted_once(
    v4: TestClient, store_client: Client, openai_scene: Scenes
) -> None:
    openai_scene(openai_like)
    answer = ask(v4, num_samples=3)
    found = [store_client.get(item["id"]) for item in answer["data"]]
    assert [item["index"] for item in answer["data"]] == [0, 1, 2]
    assert [generation.output for generation in found if generation] == ["So. "] * 3
    usage = [generation.usage for generation in found if generation]
    assert usage[0] is not None
    assert (usage[0].output_tokens, usage[1:]) == (12, [None, None])


def test_save_false_keeps_the_row_and_not_what_was_said(
    v4: TestClient, store_client: Client, openai_scene: Scenes
) -> None:
    openai_scene(openai_like)
    answer = ask(v4, save=False, metadata={"team": "a"})
    generation = store_client.get(answer["data"][0]["id"])
    assert generation is not None
    assert (generation.inputs, generation.messages, generation.output) == (None, None, None)
    assert answer["data"][0]["output"] == "So."


@pytest.mark.parametrize(
    ("reply", "status", "kind"),
    [
        (Json({"error": {"message": "slow down"}}, 429, {"retry-after": "7"}), 429, "rate_limit_error"),
        (Json({"error": {"message": "bad key sk-caller"}}, 401), 502, "provider_error"),
        (Json({"error": "broken"}, 500), 502, "provider_error"),
        (Json({"choices": []}), 502, "provider_error"),
        (Json(["what"]), 502, "provider_error"),
        (Json({"choices": [{"message": 7}]}), 502, "provider_error"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_provider_is_told_in_the_documented_shape(
    v4: TestClient,
    store_client: Client,
    openai_scene: Scenes,
    reply: Json,
    status: int,
    kind: str,
    stream: bool,
) -> None:
    openai_scene(reply)
    keys = {"openai": "sk-caller"}
    answer = v4.post(
        "completion",
        json={
            "project": "demo",
            "model_config": CONFIG,
            "inputs": {"question": "x"},
            "stream": stream,
            "provider_api_keys": keys,
        },  # fmt: skip
    )
    assert answer.status_code == status
    detail = answer.json()["detail"]
    assert detail.keys() == {"type", "message", "code", "origin"}
    assert (detail["type"], detail["origin"]) == (kind, "openai")
    assert "sk-caller" not in answer.text
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    kept = store_client.generations("demo").items
    assert [found.status for found in kept] == ["error"]


def test_a_silent_provider_is_answered_504(
    v4: TestClient, openai_scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai_scene(Events([], "silence"))
    monkeypatch.setenv("AFTERWORD_PROVIDER_TIMEOUT_S", "0.2")
    assert ask(v4, status=504, stream=True)["detail"]["type"] == "provider_timeout"
    assert ask(v4, status=504)["detail"]["type"] == "provider_timeout"


def test_a_provider_that_cannot_be_reached_is_answered_502(
    v4: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    assert ask(v4, status=502)["detail"]["type"] == "provider_unreachable"


def test_a_provider_nobody_configured_is_answered_424_with_what_to_set(
    v4: TestClient, store_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "something")
    detail = ask(v4, status=424)["detail"]
    assert "OPENAI_API_KEY" in detail["message"]
    detail = ask(v4, status=424, model_config={**CONFIG, "provider": "acme"})["detail"]
    assert "AFTERWORD_PROVIDER_ACME_BASE_URL" in detail["message"]
    assert store_client.generations("demo").items == []


def test_an_azure_address_from_a_caller_must_be_azures(v4: TestClient) -> None:
    keys = {"openai_azure": "k", "openai_azure_endpoint": "https://169.254.169.254"}
    config = {**CONFIG, "provider": "openai_azure"}
    answer = ask(v4, status=422, model_config=config, provider_api_keys=keys)
    assert "azure.com" in answer["detail"][0]["msg"]


def test_a_stream_is_recorded_as_one_log(
    v4: TestClient, store_client: Client, openai_scene: Scenes
) -> None:
    openai_scene(openai_like)
    answer = v4.post(
        "chat", json={"project": "demo", "model_config": CONFIG, "inputs": {"question": "x"},
                      "messages": [{"role": "user", "content": "Hi"}], "stream": True, "num_samples": 2},
    )  # fmt: skip
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer.text)
    assert [event["data"][0]["index"] for event in found] == [0, 0, 1, 1]
    assert found[1]["data"][0]["output_message"]["content"] == "So.\u2028"
    kept = store_client.generations("demo").items
    assert {generation.id for generation in kept} == {event["data"][0]["id"] for event in found}
    assert {(generation.status, generation.output) for generation in kept} == {("ok", "So.\u2028")}


def test_tool_calls_of_a_stream_are_put_together(v4: TestClient, openai_scene: Scenes) -> None:
    def fragment(**call: Any) -> tuple[None, dict[str, Any]]:
        return None, {"choices": [{"delta": {"tool_calls": [{"index": 0, **call}]}}]}

    openai_scene(
        Events(
            [
                fragment(id="c1", function={"name": "look", "arguments": ""}),
                fragment(function={"arguments": '{"a":'}),
                fragment(function={"arguments": "1}"}),
                (None, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
                (None, "[DONE]"),
            ]
        )
    )
    answer = v4.post(
        "chat", json={"project": "demo", "model_config": CONFIG, "inputs": {"question": "x"},
                      "messages": [], "stream": True},
    )  # fmt: skip
    (event,) = events(answer.text)
    assert event["data"][0]["finish_reason"] == "tool_call"
    (call,) = event["data"][0]["tool_calls"]
    assert (call["id"], call["function"]) == ("c1", {"name": "look", "arguments": '{"a":1}'})


def test_what_does_not_fit_is_named_before_the_provider_is_asked(
    v4: TestClient, openai_scene: Scenes
) -> None:
    scene = openai_scene(openai_like)
    for fields in (
        {"num_samples": 0}, {"num_samples": 1.5}, {"stream": "yes"}, {"inputs": "x"},
        {"model_config": {}}, {"model_config": {"model": 7}}, {"metadata": []}, {"user": 7},
        {"session_id": "two words"}, {"parent_reference_id": "nobody"}, {"project": "\0"},
    ):  # fmt: skip
        detail = ask(v4, status=422, **fields)["detail"]
        assert detail[0]["loc"][0] == "body"
    answer = ask(v4, status=422, inputs={})
    assert "question" in answer["detail"][0]["msg"]
    assert ask(v4, "chat", status=422)["detail"][0]["loc"] == ["body", "messages"]
    assert scene.sent == []


def test_experiments_and_evaluations_are_gone_and_say_so(v4: TestClient) -> None:
    for path in ("completion-experiment", "chat-experiment", "evaluators"):
        answer = v4.post(path, json={"project": "demo", "experiment_id": "exp_1"})
        assert answer.status_code == 410
        assert "not part of Afterword" in answer.json()["detail"]
    assert v4.get("nothing/here").json().keys() == {"detail"}
