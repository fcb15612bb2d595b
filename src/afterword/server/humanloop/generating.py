"""Completions and chats: ask the provider, record, answer (layer 5)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, cast

from starlette.concurrency import run_in_threadpool

from afterword.client import Client
from afterword.ids import new_id
from afterword.server.humanloop.asked import Asked, read
from afterword.server.humanloop.providers import (
    ProviderFailed,
    Sample,
    Target,
    answer,
    stream,
)
from afterword.server.humanloop.providers.choosing import chosen, timeout_s
from afterword.server.humanloop.recording import generation_draft, make_durable, put
from afterword.server.humanloop.streaming import EventLines, Streamed
from afterword.server.humanloop.wire import Call, Refused, Routes

__all__ = ["add_routes"]

_SOURCES = {"-deployed": "deployed", "": "body", "-model-config": "config_id"}
_NO_EXPERIMENTS = (
    "Experiments are not part of Afterword. Deploy a config to the project and call {path}-deployed, "
    "or name one and call {path}-model-config; the Logs pages filter by version."
)


def add_routes(routes: Routes) -> None:
    """``/completion`` and ``/chat`` in all their forms."""
    for path, is_chat in (("/completion", False), ("/chat", True)):
        for ending, source in _SOURCES.items():
            routes.add_async("POST", path + ending, "ingest", _Generate(is_chat, source))
        routes.add("POST", f"{path}-experiment", "ingest", _gone(path))


def _gone(path: str) -> Any:
    def refuse(call: Call) -> Any:
        raise Refused(410, _NO_EXPERIMENTS.format(path=path))

    return refuse


class _Generate:
    """The handler of one generation route."""

    def __init__(self, is_chat: bool, source: str) -> None:
        self._is_chat = is_chat
        self._source = source

    async def __call__(self, call: Call) -> Any:
        asked = await run_in_threadpool(read, call, is_chat=self._is_chat, source=self._source)
        started = _Started(call.client, asked)
        try:
            target = await chosen(asked.version.provider, call.provider_keys)
            if target.model is not None:
                asked.ask = dataclasses.replace(asked.ask, model=target.model)
                started.provider = target.name
            if asked.is_stream:
                return await _streamed(started, target)
            return await _whole(started, target)
        except ProviderFailed as failure:
            if failure.status != 424:
                await started.failed(failure)
            message = call.client.redactor.text(failure.message)
            headers = {"Retry-After": failure.retry_after} if failure.retry_after else None
            raise Refused(
                failure.status, {**failure.detail(), "message": message}, headers
            ) from None


class _Started:
    """A request that a provider is being asked: its times, and its records."""

    def __init__(self, client: Client, asked: Asked) -> None:
        self.client = client
        self.asked = asked
        self.provider = asked.version.provider
        self.ids = [new_id() for _ in range(asked.ask.samples)]
        self.created_at = datetime.now(UTC)
        self._clock_s = time.monotonic()

    def elapsed_s(self) -> float:
        """Seconds since the request was read."""
        return time.monotonic() - self._clock_s

    def record(
        self,
        index: int,
        sample: Sample | None,
        *,
        usage: dict[str, int | None] | None = None,
        error: dict[str, str] | None = None,
        status: str | None = None,
        first_token_ms: float | None = None,
    ) -> None:
        """Hand the record of one sample over."""
        asked = self.asked
        extras = {**asked.extras, "save": None if asked.save else False}
        output: Any = None
        if sample is not None:
            extras["finish_reason"] = sample.finish_reason
            extras["tool_calls"] = sample.tool_calls or None
            output = sample.text
        record, _ = generation_draft(
            self.client,
            asked.project.key,
            data_id=self.ids[index],
            created_at=self.created_at,
            duration_s=None if status == "running" else self.elapsed_s(),
            first_token_ms=first_token_ms,
            status=status,
            name=asked.version.name,
            version=asked.version.id,
            model=asked.ask.model,
            provider=self.provider,
            usage=usage,
            error=error,
            user=asked.user,
            metadata=asked.metadata,
            inputs=asked.inputs if asked.save else None,
            messages=asked.ask.messages if asked.save else None,
            output=output if asked.save else None,
            extras=extras,
            **asked.lineage,
        )
        put(self.client, record)

    async def failed(self, failure: ProviderFailed) -> None:
        """Record that the provider did not answer."""
        self.record(0, None, error={"type": failure.kind, "message": failure.message})
        await run_in_threadpool(make_durable, self.client)

    def frame(self) -> dict[str, Any]:
        """What an answer says beside its samples."""
        asked = self.asked
        frame: dict[str, Any] = {
            "project_id": asked.project.id,
            "num_samples": asked.ask.samples,
            "user": asked.user,
            "metadata": asked.metadata,
            "session_id": asked.lineage["session"],
        }
        if asked.is_chat:
            frame["tool_choice"] = asked.ask.tool_choice
        else:
            frame["logprobs"], frame["suffix"] = asked.ask.logprobs, asked.ask.suffix
        return frame


async def _whole(started: _Started, target: Target) -> dict[str, Any]:
    asked = started.asked
    found = await answer(target, asked.ask, timeout_s())
    usage = {"input_tokens": found.input_tokens, "output_tokens": found.output_tokens}
    for index, sample in enumerate(found.samples):
        # The counts are those of all samples together, and are kept once.
        started.record(index, sample, usage=usage if index == 0 else None)
    await run_in_threadpool(make_durable, started.client)
    counts = [found.input_tokens or 0, found.output_tokens or 0]
    return {
        **started.frame(),
        "data": [_item(started, index, sample) for index, sample in enumerate(found.samples)],
        "usage": {
            "prompt_tokens": counts[0],
            "generation_tokens": counts[1],
            "total_tokens": sum(counts),
        },
        "provider_request": None,
        "provider_responses": [found.raw],
    }


def _item(started: _Started, index: int, sample: Sample) -> dict[str, Any]:
    asked = started.asked
    item: dict[str, Any] = {
        "id": started.ids[index],
        "index": index,
        "output": sample.text.strip(),
        "raw_output": sample.text,
        "inputs": asked.inputs if asked.returns_inputs else {},
        "finish_reason": sample.finish_reason,
        "model_config_id": asked.version.id,
        "tool_results": [],
    }
    if asked.is_chat:
        item["output_message"] = sample.message()
        item["messages"] = asked.ask.messages
        item["tool_calls"] = sample.tool_calls or None
        item["tool_call"] = sample.tool_calls[0].get("function") if sample.tool_calls else None
    return item


async def _streamed(started: _Started, target: Target) -> EventLines:
    asked = started.asked
    single = dataclasses.replace(asked.ask, samples=1)
    pieces = stream(target, single, timeout_s())
    # A failure has to be known before the first byte: afterwards no v4 client hears of it.
    first = await anext(pieces, None)
    if first is None:
        raise ProviderFailed(
            502, "provider_error", "The provider sent nothing.", origin=target.name
        )
    streamed = Streamed(
        first=first, pieces=pieces, again=lambda: stream(target, single, timeout_s())
    )
    return EventLines(_events(started, streamed), started.client)


async def _events(started: _Started, streamed: Streamed) -> AsyncGenerator[dict[str, Any], None]:
    asked = started.asked
    for index, data_id in enumerate(started.ids):
        # A stub, so that a crash amid the stream leaves what was asked.
        started.record(index, None, status="running")
        sample = Sample()
        usage: dict[str, int | None] = {"input_tokens": None, "output_tokens": None}
        first_token_ms: float | None = None
        status: str | None = "abandoned"
        error: dict[str, str] | None = None
        try:
            async for piece in streamed.sample(index):
                sample.text += piece.text
                sample.finish_reason = piece.finish_reason or sample.finish_reason
                _fold(sample.tool_calls, piece.tool_calls)
                for name, count in usage.items():
                    told = getattr(piece, name)
                    usage[name] = count if told is None else told
                if first_token_ms is None and (piece.text or piece.tool_calls):
                    first_token_ms = started.elapsed_s() * 1000
                if piece.text or piece.finish_reason:
                    yield _event(asked, data_id, index, piece.text, piece.finish_reason, sample)
            status = None
        except ProviderFailed as failure:
            status, error = None, {"type": failure.kind, "message": failure.message}
            raise
        finally:
            started.record(
                index,
                sample,
                usage=usage,
                error=error,
                status=status,
                first_token_ms=first_token_ms,
            )


def _event(
    asked: Asked, data_id: str, index: int, text: str, finish_reason: str | None, sample: Sample
) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": data_id,
        "index": index,
        "output": text,
        "finish_reason": finish_reason,
        "model_config_id": asked.version.id,
    }
    if finish_reason is not None and asked.is_chat:
        item["output_message"] = sample.message()
        item["tool_calls"] = sample.tool_calls or None
    return {"data": [item], "project_id": asked.project.id}


def _fold(calls: list[dict[str, Any]], fragments: list[dict[str, Any]]) -> None:
    for fragment in fragments:
        position = fragment.get("index", 0)
        known = next((call for call in calls if call["index"] == position), None)
        if known is None:
            known = {"index": position, "id": None, "type": "function"}
            known["function"] = {"name": "", "arguments": ""}
            calls.append(known)
        known["id"] = fragment.get("id") or known["id"]
        so_far = cast("dict[str, Any]", known["function"])
        for name, text in (fragment.get("function") or {}).items():
            if name in so_far and isinstance(text, str):
                so_far[name] += text
