"""The record of one model call, from its request to its end (layer 4).

Everything here runs on the caller's thread, between the caller and the SDK, and none of it may
raise: a fault of ours is counted and the call goes on.
"""

from __future__ import annotations

import atexit
import functools
import os
import time
from collections.abc import Mapping
from typing import Any

from afterword.capture.arguments import Names
from afterword.capture.calls import begin, end_raised, end_stream, prepare
from afterword.capture.providers.attempts import attempt
from afterword.capture.providers.folding import Endpoint, Fold, Provider, Tokens, without_blanks
from afterword.capture.providers.prices import cost_usd
from afterword.capture.providers.rollup import roll_up
from afterword.capture.records import Call, Spec
from afterword.snapshot import Packed, careful, snapshot

#: Streams begun and not over, so that interpreter exit does not lose them.
_OPEN: dict[int, Recording] = {}

_UNSAID = frozenset(("NotGiven", "Omit"))


class Recording:
    """One model call being recorded, its retries included."""

    __slots__ = ("base_url", "call", "endpoint", "fold", "is_drawn", "provider", "requested")

    def __init__(
        self, provider: Provider, endpoint: Endpoint, call: Call, base_url: str, requested: Any
    ) -> None:
        self.provider = provider
        self.endpoint = endpoint
        self.call = call
        self.fold: Fold = endpoint.fold()
        self.base_url = base_url
        self.requested = requested if type(requested) is str else None
        #: Whether the SDK is drawing a chunk at this moment.
        self.is_drawn = False

    @property
    def is_over(self) -> bool:
        return self.call.done

    def stream(self) -> None:
        """The reply comes in pieces."""
        self.call.streamed = True
        _OPEN[id(self)] = self

    def add(self, chunk: Any) -> None:
        """One chunk of the reply, as the caller gets it."""
        if not self.call.done and self.fold.add(chunk):
            self.note_first_token()

    def note_first_token(self) -> None:
        """Some of the answer is here."""
        if self.call.first_ns is None:
            self.call.first_ns = time.perf_counter_ns()

    def reply(self, reply: Any) -> None:
        """The whole reply has come."""
        attempt("recording a provider's reply", self.fold.whole, reply)
        self.end("ok")

    def leave(self) -> None:
        """Nobody will draw from the reply any more, unless it is the SDK who closes at the end."""
        if not self.is_drawn:
            self.end("abandoned")

    def end(self, status: str) -> None:
        """The call is over. A message that had come whole is not abandoned by who stops there."""
        if self.call.done:
            return
        _OPEN.pop(id(self), None)
        attempt("recording a provider's reply", self._write)
        if status == "abandoned" and self.fold.complete:
            status = "ok"
        if status == "ok" and self.fold.failure is not None:
            kind, message = self.fold.failure
            self.call.error = (f"{self.call.spec.name}.{kind}", message)
            status = "error"
        end_stream(self.call, status)

    def end_raised(self, error: BaseException) -> None:
        """The SDK raised, before or within the reply."""
        if self.call.done:
            return
        _OPEN.pop(id(self), None)
        reply = attempt("recording a provider's error", self.provider.reply_of, error)
        if reply is not None:
            attempt("recording a provider's reply", self.fold.whole, reply)
        attempt("recording a provider's reply", self._write)
        end_raised(self.call, error)

    def _write(self) -> None:
        call, fold = self.call, self.fold
        message = fold.message()
        if message is not None:
            call.output = snapshot(message)
            if fold.room.left < 0:
                kept = call.output if type(call.output) is Packed else careful(message)
                call.output = Packed(kept.data, truncated=True, plain=kept.plain)
        metadata = {
            "finish_reason": fold.finish_reason(),
            "provider_id": fold.reply_id,
            "provider_model": fold.model if fold.model != self.requested else None,
            "provider_usage": fold.usage,
            "base_url": None if self.base_url == self.provider.base_url else self.base_url,
        }
        tokens = fold.tokens()
        model = self.requested or fold.model
        call.notes = {
            **(call.notes or {}),
            "model": model,
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "metadata": without_blanks(metadata),
        }
        cost = None if model is None else attempt("pricing a call", self._cost_usd, model, tokens)
        call.notes["cost_usd"] = cost
        roll_up(call, model, self.provider.name, tokens, cost)

    def _cost_usd(self, model: str, tokens: Tokens) -> float | None:
        provider, kind = self.provider.name, self.endpoint.usage_kind
        answered_by = self.fold.model or model
        return cost_usd(provider, self.base_url, answered_by, self.fold.usage, tokens, kind)


@functools.lru_cache(maxsize=64)
def _spec(name: str) -> Spec:
    spec = Spec()
    spec.client = spec.metadata = spec.model = spec.project = spec.sample = spec.version = None
    spec.inputs = spec.output = True
    spec.name, spec.names, spec.tags = name, Names(), ()
    return spec


def record(provider: Provider, client: Any, options: Any) -> Recording | None:
    """A recording of this request, begun; None when it is no model call.

    `options` is what the SDK's client makes of a request before it sends it: the path below the
    base URL and the body, as the caller's arguments made them.
    """
    if str(options.method).lower() != "post":
        return None
    endpoint = provider.endpoint(str(options.url).partition("?")[0].rstrip("/"))
    if endpoint is None:
        return None
    body = _body(options)
    spec = _spec(f"{provider.name}.{endpoint.name}")
    call = prepare(spec, (), endpoint.parameters(body), 0)
    if call is None:
        return None
    call.notes = {"provider": provider.name}
    messages = endpoint.messages(body)
    if messages is not None:
        call.notes["messages"] = snapshot(messages)
    requested = body.get("model")
    if type(requested) is str:
        call.notes["model"] = requested
    recording = Recording(provider, endpoint, call, _address(client), requested)
    begin(call)
    return recording


def _body(options: Any) -> Mapping[str, Any]:
    """The fields of the request's body that were given."""
    body: dict[str, Any] = {}
    for part in (options.json_data, getattr(options, "extra_json", None)):
        if isinstance(part, Mapping):
            body.update(part)
    return {name: value for name, value in body.items() if type(value).__name__ not in _UNSAID}


def _address(client: Any) -> str:
    """Where the client talks to, without what a URL may hold in secrets."""
    url: Any = client.base_url
    port = "" if url.port is None else f":{url.port}"
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{port}{url.path}".rstrip("/")


def _end_all() -> None:
    for recording in list(_OPEN.values()):
        recording.end("abandoned")


def _forget_all() -> None:
    """In a forked child: what is open belongs to the parent, who records it."""
    for recording in _OPEN.values():
        recording.call.done = True
    _OPEN.clear()


# Registered after the recorder's own, so that it runs before.
atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
