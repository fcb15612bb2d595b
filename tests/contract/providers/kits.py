"""What the contract suite needs to know of each kind of model call: how it is made with the real
SDK, what the provider sends, and what the record has to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from provider_server import Event, Events, Json

QUESTION = "How should I think about competition?"
TOOL_ARGUMENTS = {"city": "Zürich", "days": 2, "unit": None}


@dataclass
class Kit:
    """One kind of model call of one provider."""

    name: str
    provider: str
    model: str
    classes: tuple[Any, Any]
    http_clients: tuple[Any, Any]
    #: The resource's methods take these; `tools` beside them where a tool is to be called.
    request: dict[str, Any]
    tools: dict[str, Any]
    #: From a client to the resource that has `create` and `stream`.
    resource: Callable[[Any], Any]
    #: Which method of the stream helper gives the whole.
    final: str
    #: The pieces of a text as the provider sends them, or in one piece; the same for a tool call.
    text_events: Callable[[list[str]], list[Event]]
    text_reply: Callable[[str], Any]
    tool_events: list[Event]
    tool_reply: Any
    error: Callable[[str], Any]
    stream_class: tuple[type, type]
    # What the record has to say.
    messages: Any
    parameters: dict[str, Any]
    tool_message: dict[str, Any]
    input_tokens: int
    output_tokens: int
    finish_reason: str
    tool_finish_reason: str
    #: What the base URL ends with.
    prefix: str = ""

    def client(self, base_url: str, mode: str, **options: Any) -> Any:
        # Without certificates to read, which takes longer than most of these tests.
        http = self.http_clients[mode == "async"](verify=False)
        options = {"api_key": "key", "max_retries": 0, "http_client": http, **options}
        return self.classes[mode == "async"](base_url=base_url + self.prefix, **options)

    def message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}

    def text_stream(self, *pieces: str, then: str = "end") -> Events:
        events = self.text_events(list(pieces))
        return Events(events, then)

    def cut_stream(self, *pieces: str, then: str) -> Events:
        """As much of a stream as has these pieces, and no end of the message."""
        events = self.text_events([*pieces, "NEVER SENT"])
        kept = next(i for i, event in enumerate(events) if "NEVER SENT" in json.dumps(event))
        return Events(events[:kept], then)

    def failure(self, status: int, message: str) -> Json:
        return Json(self.error(message), status, {"retry-after-ms": "1"})

    def reply(self, text: str) -> Json:
        return Json(self.text_reply(text))


# --- OpenAI chat completions ------------------------------------------------------------------

_CHAT_USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 9,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 12},
}
_WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


def _chat_chunk(delta: Any, reason: str | None = None, **others: Any) -> Event:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return None, {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini",
        "choices": choices,
        **others,
    }


def _chat_events(pieces: list[str]) -> list[Event]:
    return [
        _chat_chunk({"role": "assistant", "content": "", "refusal": None}),
        *[_chat_chunk({"content": piece}) for piece in pieces],
        _chat_chunk({}, "stop"),
        _chat_chunk(None, usage=_CHAT_USAGE),
        (None, "[DONE]"),
    ]


def _chat_reply(message: dict[str, Any], reason: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None, "annotations": [], **message},
                "finish_reason": reason,
                "logprobs": None,
            }
        ],
        "usage": _CHAT_USAGE,
    }


_TOOL_TEXT = json.dumps(TOOL_ARGUMENTS, ensure_ascii=False)
_CHAT_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": _TOOL_TEXT},
}

CHAT = Kit(
    name="openai.chat.completions",
    provider="openai",
    model="gpt-4o-mini",
    classes=(openai.OpenAI, openai.AsyncOpenAI),
    http_clients=(openai.DefaultHttpxClient, openai.DefaultAsyncHttpxClient),
    request={
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": QUESTION},
        ],
        "temperature": 0.2,
        "extra_body": {"top_k": 4},
    },
    tools={
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "parameters": _WEATHER_SCHEMA,
                    "strict": True,
                },
            }
        ]
    },
    resource=lambda client: client.chat.completions,
    final="get_final_completion",
    text_events=_chat_events,
    text_reply=lambda text: _chat_reply({"content": text}, "stop"),
    tool_events=[
        _chat_chunk(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": ""},
                    }
                ],
            }
        ),
        *[
            _chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            for piece in (_TOOL_TEXT[:7], _TOOL_TEXT[7:20], _TOOL_TEXT[20:])
        ],
        _chat_chunk({}, "tool_calls"),
        _chat_chunk(None, usage=_CHAT_USAGE),
        (None, "[DONE]"),
    ],
    tool_reply=_chat_reply({"content": None, "tool_calls": [_CHAT_CALL]}, "tool_calls"),
    error=lambda message: {"error": {"message": message, "type": "server_error", "code": None}},
    stream_class=(openai.Stream, openai.AsyncStream),
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": QUESTION},
    ],
    parameters={"temperature": 0.2, "top_k": 4},
    tool_message={"role": "assistant", "content": None, "tool_calls": [_CHAT_CALL]},
    input_tokens=21,
    output_tokens=9,
    finish_reason="stop",
    tool_finish_reason="tool_calls",
    prefix="/v1",
)

# --- OpenAI responses -------------------------------------------------------------------------

_RESPONSE_USAGE = {
    "input_tokens": 21,
    "output_tokens": 9,
    "total_tokens": 30,
    "input_tokens_details": {"cached_tokens": 12},
    "output_tokens_details": {"reasoning_tokens": 3},
}
_FUNCTION_CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": _TOOL_TEXT,
    "status": "completed",
}


def _response(output: list[Any], status: str = "completed") -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "model": "gpt-4o-mini",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _RESPONSE_USAGE if status == "completed" else None,
    }


def _response_message(text: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": status,
        "content": [part] if text else [],
    }


def _numbered(events: list[dict[str, Any]]) -> list[Event]:
    return [
        (event["type"], {**event, "sequence_number": number}) for number, event in enumerate(events)
    ]


def _response_events(pieces: list[str]) -> list[Event]:
    whole = "".join(pieces)
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    message = _response_message(whole)
    return _numbered(
        [
            {"type": "response.created", "response": _response([], "in_progress")},
            {"type": "response.in_progress", "response": _response([], "in_progress")},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": _response_message("", "in_progress"),
            },
            {"type": "response.content_part.added", **place, "part": part},
            *[
                {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
                for piece in pieces
            ],
            {"type": "response.output_text.done", **place, "text": whole, "logprobs": []},
            {
                "type": "response.content_part.done",
                **place,
                "part": message["content"][0] if whole else part,
            },
            {"type": "response.output_item.done", "output_index": 0, "item": message},
            {"type": "response.completed", "response": _response([message])},
        ]
    )


RESPONSES = Kit(
    name="openai.responses",
    provider="openai",
    model="gpt-4o-mini",
    classes=(openai.OpenAI, openai.AsyncOpenAI),
    http_clients=(openai.DefaultHttpxClient, openai.DefaultAsyncHttpxClient),
    request={
        "model": "gpt-4o-mini",
        "instructions": "Be brief.",
        "input": QUESTION,
        "temperature": 0.2,
    },
    tools={
        "tools": [
            {"type": "function", "name": "weather", "parameters": _WEATHER_SCHEMA, "strict": True}
        ]
    },
    resource=lambda client: client.responses,
    final="get_final_response",
    text_events=_response_events,
    text_reply=lambda text: _response([_response_message(text)]),
    tool_events=_numbered(
        [
            {"type": "response.created", "response": _response([], "in_progress")},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {**_FUNCTION_CALL, "arguments": "", "status": "in_progress"},
            },
            *[
                {
                    "type": "response.function_call_arguments.delta",
                    "item_id": "fc_1",
                    "output_index": 0,
                    "delta": piece,
                }
                for piece in (_TOOL_TEXT[:7], _TOOL_TEXT[7:20], _TOOL_TEXT[20:])
            ],
            {
                "type": "response.function_call_arguments.done",
                "item_id": "fc_1",
                "output_index": 0,
                "name": "weather",
                "arguments": _TOOL_TEXT,
            },
            {"type": "response.output_item.done", "output_index": 0, "item": _FUNCTION_CALL},
            {"type": "response.completed", "response": _response([_FUNCTION_CALL])},
        ]
    ),
    tool_reply=_response([_FUNCTION_CALL]),
    error=CHAT.error,
    stream_class=(openai.Stream, openai.AsyncStream),
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": QUESTION},
    ],
    parameters={"temperature": 0.2},
    tool_message={"role": "assistant", "content": [_FUNCTION_CALL]},
    input_tokens=21,
    output_tokens=9,
    finish_reason="completed",
    tool_finish_reason="completed",
    prefix="/v1",
)

# --- Anthropic messages -----------------------------------------------------------------------

_CLAUDE = "claude-haiku-5-5"
_USAGE_IN = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 6,
    "cache_read_input_tokens": 10,
    "service_tier": "standard",
}


def _claude_message(content: list[Any], reason: str | None, output_tokens: int) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": _CLAUDE,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {**_USAGE_IN, "output_tokens": output_tokens},
    }


def _claude_events(block: dict[str, Any], deltas: list[dict[str, Any]], reason: str) -> list[Event]:
    events = [
        {"type": "message_start", "message": _claude_message([], None, 1)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


_TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": TOOL_ARGUMENTS}

MESSAGES = Kit(
    name="anthropic.messages",
    provider="anthropic",
    model=_CLAUDE,
    classes=(anthropic.Anthropic, anthropic.AsyncAnthropic),
    http_clients=(anthropic.DefaultHttpxClient, anthropic.DefaultAsyncHttpxClient),
    request={
        "model": _CLAUDE,
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": QUESTION}],
        "stop_sequences": ["END"],
        "extra_body": {"top_k": 4},
    },
    tools={"tools": [{"name": "weather", "input_schema": _WEATHER_SCHEMA}]},
    resource=lambda client: client.messages,
    final="get_final_message",
    text_events=lambda pieces: _claude_events(
        {"type": "text", "text": ""},
        [{"type": "text_delta", "text": piece} for piece in pieces],
        "end_turn",
    ),
    text_reply=lambda text: _claude_message([{"type": "text", "text": text}], "end_turn", 9),
    tool_events=_claude_events(
        {**_TOOL_USE, "input": {}},
        [
            {"type": "input_json_delta", "partial_json": piece}
            for piece in ("", _TOOL_TEXT[:7], _TOOL_TEXT[7:20], _TOOL_TEXT[20:])
        ],
        "tool_use",
    ),
    tool_reply=_claude_message([_TOOL_USE], "tool_use", 9),
    error=lambda message: {"type": "error", "error": {"type": "api_error", "message": message}},
    stream_class=(anthropic.Stream, anthropic.AsyncStream),
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": QUESTION},
    ],
    parameters={"max_tokens": 100, "stop_sequences": ["END"], "top_k": 4},
    tool_message={"role": "assistant", "content": [_TOOL_USE]},
    input_tokens=21,
    output_tokens=9,
    finish_reason="end_turn",
    tool_finish_reason="tool_use",
)

KITS = (CHAT, RESPONSES, MESSAGES)
