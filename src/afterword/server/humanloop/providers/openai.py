"""OpenAI's chat completions and completions, which many other providers speak too (layer 5).

Source: OpenAI's API reference, `/v1/chat/completions` and `/v1/completions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from afterword.server.humanloop.providers.asking import Answer, Ask, Piece, Sample

__all__ = ["answer", "headers", "piece", "request"]

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "stop",
}
#: Models that refuse `max_tokens` by its old name.
_REASONING = re.compile(r"(o\d|gpt-5)")
_AS_THEY_ARE = (
    "temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "seed",
    "response_format",
)  # fmt: skip


def headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def request(ask: Ask, *, is_stream: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = dict(ask.parameters.get("other") or {})
    body["model"] = ask.model
    for name in _AS_THEY_ARE:
        if name in ask.parameters:
            body[name] = ask.parameters[name]
    limit = ask.parameters.get("max_tokens")
    is_chat = ask.messages is not None
    if isinstance(limit, int) and limit > 0:
        is_new = is_chat and _REASONING.match(ask.model)
        body["max_completion_tokens" if is_new else "max_tokens"] = limit
    if ask.user is not None:
        body["user"] = ask.user
    if ask.samples > 1:
        body["n"] = ask.samples
    if is_stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    if ask.messages is not None:
        body["messages"] = ask.messages
        if ask.tools:
            body["tools"] = [_tool(tool) for tool in ask.tools]
            if ask.tool_choice is not None:
                body["tool_choice"] = ask.tool_choice
        return "chat/completions", body
    body["prompt"] = ask.prompt
    for name, value in (("suffix", ask.suffix), ("logprobs", ask.logprobs)):
        if value is not None:
            body[name] = value
    return "completions", body


def answer(body: dict[str, Any]) -> Answer:
    usage = _usage(body)
    choices = sorted(body["choices"], key=lambda choice: choice.get("index") or 0)
    return Answer([_sample(choice) for choice in choices], *usage, raw=body)


def piece(event: dict[str, Any]) -> Piece | None:
    input_tokens, output_tokens = _usage(event)
    choices = event.get("choices") or []
    if not choices:
        return Piece(input_tokens=input_tokens, output_tokens=output_tokens)
    choice = choices[0]
    delta = choice.get("delta") or {}
    return Piece(
        text=choice.get("text") or delta.get("content") or "",
        finish_reason=_finish(choice),
        tool_calls=list(delta.get("tool_calls") or ()),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    # Humanloop's own form names the function at the top.
    if "function" in tool:
        return tool
    known = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {key: tool[key] for key in known if key in tool}}


def _sample(choice: dict[str, Any]) -> Sample:
    message: dict[str, Any] = choice.get("message") or {}
    text = choice["text"] if "text" in choice else message.get("content")
    return Sample(_joined(text), _finish(choice), list(message.get("tool_calls") or ()))


def _joined(content: Any) -> str:
    if isinstance(content, list):
        parts = content
        return "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def _finish(choice: dict[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return None if reason is None else _FINISH.get(reason, "stop")


def _usage(body: dict[str, Any]) -> tuple[int | None, int | None]:
    usage: dict[str, Any] = body.get("usage") or {}
    return usage.get("prompt_tokens"), usage.get("completion_tokens")
