"""``/prompts`` and ``/prompts/call``: prompts kept, and called as v4's configs are (layer 5)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from starlette.concurrency import run_in_threadpool

from afterword.prompts import PRODUCTION, PromptShelf
from afterword.server.humanloop.asked import version_of
from afterword.server.humanloop.generating import _Generate
from afterword.server.humanloop.streaming import EventLines
from afterword.server.humanloop.v5.files import File, file_of, file_shape
from afterword.server.humanloop.wire import Call, Routes, unfit

__all__ = ["add_routes"]

_KEPT = ("inputs", "messages", "num_samples", "stream", "user", "metadata", "save", "tool_choice")


def add_routes(routes: Routes) -> None:
    """Prompts, and calls of them."""
    routes.add("POST", "/prompts", "ingest", _upsert)
    routes.add_async("POST", "/prompts/call", "ingest", _call)


def _upsert(call: Call) -> Any:
    given = {name: value for name, value in call.fields.items() if name not in ("path", "id")}
    body = {**call.fields, "prompt": given}
    file = file_of(Call(call.client, call.access, call.path, call.query, body), "prompt")
    version = version_of(_config(file.content))
    PromptShelf(call.client.store).register(file.project, version, deploy_first=True)
    return file_shape(file)


def _config(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt of v5 as a config of v4."""
    template = prompt.get("template")
    name = "chat_template" if isinstance(template, list) else "prompt_template"
    return {**prompt, name: template}


async def _call(call: Call) -> Any:
    file, fields, source = await run_in_threadpool(_asked, call)
    as_v4 = Call(call.client, call.access, call.path, call.query, fields, call.provider_keys)
    found = await _Generate(is_chat=True, source=source)(as_v4)
    if isinstance(found, EventLines):
        return EventLines(_events(file, found._events), call.client)
    return _whole(file, fields, cast("dict[str, Any]", found))


def _asked(call: Call) -> tuple[File, dict[str, Any], str]:
    """The prompt that is called, the body as v4 has it, and where its config is."""
    file = file_of(call, "prompt")
    fields: dict[str, Any] = {
        name: call.fields[name] for name in _KEPT if call.fields.get(name) is not None
    }
    fields.setdefault("messages", [])
    fields["project"] = file.project
    for name, other in (("trace_parent_id", "parent_id"), ("source", "source")):
        if call.fields.get(name) is not None:
            fields[other] = call.fields[name]
    version_id = call.query.get("version_id")
    if file.content:
        if not isinstance(file.content.get("model"), str):
            raise unfit("prompt", "names no model")
        fields["model_config"] = _config(file.content)
        return file, fields, "body"
    if version_id is not None:
        fields["model_config_id"] = version_id
        return file, fields, "config_id"
    fields["environment"] = call.query.get("environment") or PRODUCTION
    deployed = PromptShelf(call.client.store).deployed(file.project, fields["environment"])
    if deployed is not None:
        file.content = {"model": deployed.model, "provider": deployed.provider}
    return file, fields, "deployed"


def _whole(file: File, fields: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    usage = found["usage"]
    return {
        "id": found["data"][0]["id"],
        "prompt": file_shape(file),
        "inputs": fields.get("inputs"),
        "messages": found["data"][0].get("messages"),
        "user": found["user"],
        "metadata": found["metadata"],
        "trace_id": found["data"][0]["id"],
        "log_status": "complete",
        "logs": [
            {
                "index": item["index"],
                "output": item["output"],
                "output_message": item.get("output_message"),
                "finish_reason": item["finish_reason"],
                "prompt_tokens": usage["prompt_tokens"] if item["index"] == 0 else None,
                "output_tokens": usage["generation_tokens"] if item["index"] == 0 else None,
            }
            for item in found["data"]
        ],
    }


async def _events(
    file: File, events: AsyncGenerator[Mapping[str, Any], None]
) -> AsyncGenerator[dict[str, Any], None]:
    try:
        async for event in events:
            for item in event["data"]:
                yield {
                    "output": item["output"],
                    "id": item["id"],
                    "index": item["index"],
                    "finish_reason": item["finish_reason"],
                    "output_message": item.get("output_message"),
                    "prompt_id": file.id,
                    "version_id": file.version_id,
                }
    finally:
        await events.aclose()
