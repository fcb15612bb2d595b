"""Anthropic's messages (layer 5).

Source: Anthropic's API reference, `/v1/messages`, version 2023-06-01.
"""

from __future__ import annotations

import json
import re
from typing import Any

from afterword.errors import InvalidInput
from afterword.server.humanloop.providers.asking import Answer, Ask, Piece, Sample

__all__ = ["answer", "headers", "piece", "request"]

_FINISH = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
}
_DEFAULT_MAX_TOKENS = 4096
_DATA_URL = re.compile(r"data:([\w/+.-]+);base64,(.*)\Z", re.DOTALL)
_TOOL_CHOICES = {
    "auto": {"type": "auto"},
    "none": {"type": "none"},
    "required": {"type": "any"},
}


def headers(api_key: str | None) -> dict[str, str]:
    key = {} if api_key is None else {"x-api-key": api_key}
    return {"anthropic-version": "2023-06-01", **key}


def request(ask: Ask, *, is_stream: bool) -> tuple[str, dict[str, Any]]:
    if ask.parameters.get("response_format"):
        raise InvalidInput("Anthropic's models take no response_format", field="response_format")
    body: dict[str, Any] = dict(ask.parameters.get("other") or {})
    limit = ask.parameters.get("max_tokens")
    has_limit = isinstance(limit, int) and limit > 0
    body["model"] = ask.model
    body["max_tokens"] = limit if has_limit else body.get("max_tokens", _DEFAULT_MAX_TOKENS)
    for name in ("temperature", "top_p"):
        if name in ask.parameters:
            body[name] = ask.parameters[name]
    stop = ask.parameters.get("stop")
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if ask.user is not None:
        body["metadata"] = {"user_id": ask.user}
    if ask.tools:
        body["tools"] = [_tool(tool) for tool in ask.tools]
        if ask.tool_choice is not None:
            body["tool_choice"] = _tool_choice(ask.tool_choice)
    if is_stream:
        body["stream"] = True
    messages = ask.messages
    if messages is None:
        messages = [{"role": "user", "content": ask.prompt}]
    system = [str(message.get("content")) for message in messages if message["role"] == "system"]
    if system:
        body["system"] = "\n\n".join(system)
    body["messages"] = [_message(found) for found in messages if found["role"] != "system"]
    return "messages", body


def answer(body: dict[str, Any]) -> Answer:
    usage: dict[str, Any] = body.get("usage") or {}
    sample = Sample(finish_reason=_finish(body.get("stop_reason")))
    for block in body["content"]:
        if block["type"] == "text":
            sample.text += block["text"]
        elif block["type"] == "tool_use":
            sample.tool_calls.append(_call(block, json.dumps(block["input"])))
    return Answer([sample], usage.get("input_tokens"), usage.get("output_tokens"), body)


def piece(event: dict[str, Any]) -> Piece | None:
    kind = event.get("type")
    if kind == "message_start":
        usage: dict[str, Any] = event["message"].get("usage") or {}
        return Piece(input_tokens=usage.get("input_tokens"))
    if kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
        return Piece(tool_calls=[{"index": event["index"], **_call(event["content_block"], "")}])
    if kind == "content_block_delta":
        delta = event["delta"]
        if delta["type"] == "text_delta":
            return Piece(text=delta["text"])
        if delta["type"] == "input_json_delta":
            fragment = {"arguments": delta["partial_json"]}
            return Piece(tool_calls=[{"index": event["index"], "function": fragment}])
    if kind == "message_delta":
        counted: dict[str, Any] = event.get("usage") or {}
        return Piece(
            finish_reason=_finish(event["delta"].get("stop_reason")),
            output_tokens=counted.get("output_tokens"),
        )
    return None


def _call(block: dict[str, Any], arguments: str) -> dict[str, Any]:
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function}


def _finish(reason: str | None) -> str | None:
    return None if reason is None else _FINISH.get(reason, "stop")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = tool.get("function", tool)
    out: dict[str, Any] = {
        "name": function.get("name"),
        "input_schema": function.get("parameters") or {"type": "object"},
    }
    if function.get("description"):
        out["description"] = function["description"]
    return out


def _tool_choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str):
        return _TOOL_CHOICES.get(choice, {"type": "tool", "name": choice})
    function: dict[str, Any] = choice.get("function", choice)
    return {"type": "tool", "name": function.get("name")}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if message["role"] == "tool":
        result = {
            "type": "tool_result",
            "tool_use_id": message.get("tool_call_id"),
            "content": content or "",
        }
        return {"role": "user", "content": [result]}
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    if isinstance(content, str) and not calls:
        return {"role": message["role"], "content": content}
    blocks: list[dict[str, Any]] = []
    for part in content if isinstance(content, list) else ():
        blocks.append(_block(part))
    if isinstance(content, str) and content:
        blocks.append({"type": "text", "text": content})
    for call in calls:
        function = call["function"]
        arguments = json.loads(function.get("arguments") or "{}")
        blocks.append(
            {"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments}
        )
    return {"role": message["role"], "content": blocks}


def _block(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") != "image_url":
        return part
    url = str(part["image_url"]["url"])
    data = _DATA_URL.match(url)
    if data is None:
        return {"type": "image", "source": {"type": "url", "url": url}}
    source = {"type": "base64", "media_type": data[1], "data": data[2]}
    return {"type": "image", "source": source}
