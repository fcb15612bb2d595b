"""Clients whose model calls are recorded: copies of the caller's, patched in place (layer 4).

The SDKs we know are made by one generator: every call of a client, whichever resource or helper it
begins at, goes through the client's `request`, which retries within and answers with a reply, a
stream or a raw response. So one method of one instance is stood in for, and nothing of the class.
"""

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any

from afterword.capture.providers.attempts import attempt
from afterword.capture.providers.folding import Provider
from afterword.capture.providers.recordings import record
from afterword.capture.providers.taps import tap
from afterword.capture.strictness import settled, wait

_MARK = "__afterword_provider__"
_DURABLE = "making a record durable"


def is_captured(client: Any) -> bool:
    """Whether the client's calls are recorded already."""
    return hasattr(vars(client).get("request"), _MARK)


def captured(client: Any, provider: Provider) -> Any:
    """A copy of the client, sharing its connections, whose calls are recorded."""
    twin = copy.copy(client)
    _let_go(twin, client)
    return _patched(twin, provider)


def _let_go(twin: Any, client: Any) -> None:
    """Resources made by the client send through it; the copy has to make its own."""
    for name, value in list(vars(twin).items()):
        if isinstance(inspect.getattr_static(type(client), name, None), functools.cached_property):
            delattr(twin, name)
        elif getattr(value, "__dict__", {}).get("_client") is client:
            setattr(twin, name, type(value)(twin))


def _patched(client: Any, provider: Provider) -> Any:
    send = client.request
    request = (
        _async_request(client, send, provider)
        if inspect.iscoroutinefunction(send)
        else _request(client, send, provider)
    )
    setattr(request, _MARK, provider.name)
    client.request = request
    for name in ("copy", "with_options"):
        if hasattr(client, name):
            setattr(client, name, _copying(getattr(client, name), provider))
    return client


def _request(client: Any, send: Any, provider: Provider) -> Any:
    @functools.wraps(send)
    def request(cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        recording = attempt("beginning to record a call", record, provider, client, options)
        if recording is None:
            return send(cast_to, options, *args, **kwargs)
        try:
            result = send(cast_to, options, *args, **kwargs)
        except BaseException as error:
            attempt("recording a provider's error", recording.end_raised, error)
            attempt(_DURABLE, wait, recording.call)
            raise
        attempt("following a reply", tap, result, recording)
        attempt(_DURABLE, wait, recording.call)
        return result

    return request


def _async_request(client: Any, send: Any, provider: Provider) -> Any:
    @functools.wraps(send)
    async def request(cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        recording = attempt("beginning to record a call", record, provider, client, options)
        if recording is None:
            return await send(cast_to, options, *args, **kwargs)
        try:
            result = await send(cast_to, options, *args, **kwargs)
        except BaseException as error:
            attempt("recording a provider's error", recording.end_raised, error)
            if isinstance(error, Exception):
                await settled(recording.call)
            raise
        attempt("following a reply", tap, result, recording)
        await settled(recording.call)
        return result

    return request


def _copying(make: Any, provider: Provider) -> Any:
    """The client's own way to make another one of itself, which then is captured too."""

    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Any:
        client = make(*args, **kwargs)
        return client if is_captured(client) else _patched(client, provider)

    return made
