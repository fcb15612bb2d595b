"""Calls of a provider over HTTP, and what their failures mean (layer 5)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from afterword.server.humanloop.providers.asking import Answer, Ask, Piece, ProviderFailed
from afterword.server.humanloop.providers.targets import Target

__all__ = ["answer", "stream"]

_CONNECT_S = 10.0
_ERROR_BYTES = 100_000
_LINE_BYTES = 4_000_000
_MESSAGE_CHARS = 1_000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


async def answer(target: Target, ask: Ask, timeout_s: float) -> Answer:
    """As many samples as asked for, in one request where the provider makes several at once.

    Raises:
        ProviderFailed: with the status to answer.
    """
    many = ask.samples if target.takes_many else 1
    answers = [await _once(target, dataclasses.replace(ask, samples=many), timeout_s)]
    missing = ask.samples - len(answers[0].samples)
    if missing > 0:
        # A compatible server may know nothing of several samples.
        single = dataclasses.replace(ask, samples=1)
        answers += await asyncio.gather(*(_once(target, single, timeout_s) for _ in range(missing)))
    samples = [sample for part in answers for sample in part.samples][: ask.samples]
    return Answer(
        samples,
        _sum([part.input_tokens for part in answers]),
        _sum([part.output_tokens for part in answers]),
        answers[0].raw,
    )


async def stream(target: Target, ask: Ask, timeout_s: float) -> AsyncGenerator[Piece, None]:
    """The pieces of one sample as they come.

    Raises:
        ProviderFailed: before the first piece or amid them, with the status to answer.
    """
    ended = False
    async with (
        _sent(target, ask, timeout_s, is_stream=True) as response,
        aclosing(_lines(response)) as lines,
    ):
        async for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                ended = True
                break
            event = _object(target, data)
            if event.get("error"):
                raise _failed(target, 502, event)
            try:
                found = target.wire.piece(event)
            except (KeyError, TypeError, ValueError, AttributeError):
                raise _unreadable(target) from None
            ended = ended or event.get("type") == "message_stop"
            if found is not None:
                ended = ended or found.finish_reason is not None
                yield found
    if not ended:
        raise ProviderFailed(
            502, "provider_error", "The stream ended before the answer did.", origin=target.name
        )


async def _once(target: Target, ask: Ask, timeout_s: float) -> Answer:
    try:
        async with (
            asyncio.timeout(timeout_s),
            _sent(target, ask, timeout_s, is_stream=False) as response,
        ):
            body = _object(target, await response.aread())
    except TimeoutError:
        raise _silent(target, timeout_s) from None
    try:
        found = target.wire.answer(body)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _unreadable(target) from None
    if not found.samples:
        raise _unreadable(target)
    return found


@asynccontextmanager
async def _sent(
    target: Target, ask: Ask, timeout_s: float, *, is_stream: bool
) -> AsyncGenerator[httpx.Response, None]:
    path, body = target.wire.request(ask, is_stream=is_stream)
    headers = {**target.headers, "Accept": "text/event-stream" if is_stream else "application/json"}
    timeout = httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
    is_near = urlsplit(target.base_url).hostname in _LOOPBACK
    try:
        async with (
            # A proxy that the environment names cannot reach this machine's own servers.
            httpx.AsyncClient(verify=_trusted(), timeout=timeout, trust_env=not is_near) as client,
            client.stream(
                "POST", f"{target.base_url}/{path}", json=body, headers=headers
            ) as response,
        ):
            if response.status_code != 200:
                raise _failed(target, response.status_code, await _said(response), response)
            yield response
    except httpx.TimeoutException:
        raise _silent(target, timeout_s) from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise ProviderFailed(
            502,
            "provider_unreachable",
            f"The provider could not be reached: {type(error).__name__}.",
            origin=target.name,
        ) from None


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    # Only at line feeds: httpx's own lines also break at characters that JSON may hold as they are.
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > _LINE_BYTES:
            raise httpx.StreamError("a line of the stream has no end")
    if rest:
        yield rest


async def _said(response: httpx.Response) -> dict[str, Any]:
    data = b""
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > _ERROR_BYTES:
            break
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _object(target: Target, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise _unreadable(target) from None
    if not isinstance(found, dict):
        raise _unreadable(target)
    return cast("dict[str, Any]", found)


def _failed(
    target: Target, code: int, body: dict[str, Any], response: httpx.Response | None = None
) -> ProviderFailed:
    told: Any = body.get("error") or body.get("detail") or body
    message = told.get("message") if isinstance(told, dict) else told
    text = message if isinstance(message, str) and message else f"The provider answered {code}."
    if target.api_key:
        text = text.replace(target.api_key, "[key]")
    is_limit = code == 429
    return ProviderFailed(
        429 if is_limit else 502,
        "rate_limit_error" if is_limit else "provider_error",
        text[:_MESSAGE_CHARS],
        origin=target.name,
        code=code,
        retry_after=None if response is None else response.headers.get("retry-after"),
    )


def _silent(target: Target, timeout_s: float) -> ProviderFailed:
    return ProviderFailed(
        504,
        "provider_timeout",
        f"The provider did not answer within {timeout_s:g} s.",
        origin=target.name,
    )


def _unreadable(target: Target) -> ProviderFailed:
    return ProviderFailed(
        502, "provider_error", "The provider's answer cannot be read.", origin=target.name
    )


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
