"""Anthropic: messages (layer 4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from afterword.capture.providers.folding import (
    Endpoint,
    Fold,
    Provider,
    Room,
    Text,
    Tokens,
    count,
    get,
    joined,
    plain_fields,
    text_or_blocks,
    without_blanks,
)

#: Which field of its block each delta adds to.
_GROWS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
_EVENTS = frozenset(
    (
        "message_start", "message_delta", "message_stop",
        "content_block_start", "content_block_delta", "content_block_stop", "ping",
    )
)  # fmt: skip
#: What `messages.stream()` says beside them, of the same message.
_HELPER_EVENTS = frozenset(("text", "thinking", "signature", "citation", "input_json"))
_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class MessageFold:
    """Events of a message, or a whole one."""

    def __init__(self) -> None:
        self.complete = False
        self.failure: tuple[str, str] | None = None
        self.model: str | None = None
        self.reply_id: str | None = None
        self.usage: Any = None
        self._blocks: dict[int, dict[str, Any]] = {}
        self._stop_reason: Any = None
        self._role = "assistant"
        self.room = Room()

    def add(self, chunk: Any) -> bool:
        kind = get(chunk, "type")
        if kind == "content_block_delta":
            return self._add_delta(get(chunk, "index") or 0, get(chunk, "delta"))
        if kind == "content_block_start":
            block = plain_fields(get(chunk, "content_block"))
            if type(block) is dict and self.room.takes(""):
                self._blocks[get(chunk, "index") or 0] = {
                    name: Text((value,)) if name in ("text", "thinking", "signature") else value
                    for name, value in block.items()
                }
                return block.get("type") not in ("text", "thinking")
        elif kind == "message_start":
            self._note(get(chunk, "message"))
        elif kind == "message_delta":
            self._stop_reason = get(get(chunk, "delta"), "stop_reason") or self._stop_reason
            self._add_usage(get(chunk, "usage"))
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":
            error = get(chunk, "error")
            self.failure = (str(get(error, "type") or "error"), str(get(error, "message")))
        return False

    def _add_delta(self, index: int, delta: Any) -> bool:
        kind = get(delta, "type")
        block = self._blocks.setdefault(index, {"type": "text"})
        field = _GROWS.get(kind)
        if field is None:
            if kind == "citations_delta" and self.room.takes(None):
                known = block.get("citations")
                found = plain_fields(get(delta, "citation"))
                block["citations"] = [*known, found] if type(known) is list else [found]
            return False
        text = get(delta, field)
        if type(text) is not str or not self.room.takes(text):
            return bool(text)
        pieces = block.get(field)
        if type(pieces) is Text:
            pieces.append(text)
        else:
            block[field] = Text((text,))
        return bool(text) and field != "signature"

    def _note(self, message: Any) -> None:
        self.model = get(message, "model") or self.model
        self.reply_id = get(message, "id") or self.reply_id
        self._role = get(message, "role") or self._role
        self._stop_reason = get(message, "stop_reason") or self._stop_reason
        self._add_usage(get(message, "usage"))

    def _add_usage(self, usage: Any) -> None:
        """Counts of a message_delta are totals so far, so the newer ones replace."""
        counts = plain_fields(usage)
        if type(counts) is dict:
            self.usage = {**(self.usage or {}), **without_blanks(counts)}

    def whole(self, reply: Any) -> None:
        self._note(reply)
        blocks = plain_fields(get(reply, "content"))
        if type(blocks) is list:
            self._blocks = {
                index: block if type(block) is dict else {"type": "text", "text": block}
                for index, block in enumerate(blocks)
            }
        self.complete = True

    def starts_over(self, chunk: Any) -> bool:
        return self.complete and get(chunk, "type") == "message_start"

    def message(self) -> Any:
        blocks = [_block(self._blocks[index]) for index in sorted(self._blocks)]
        if not blocks:
            return {"role": self._role, "content": []} if self.complete else None
        return {"role": self._role, "content": text_or_blocks(blocks, "text")}

    def finish_reason(self) -> Any:
        return self._stop_reason

    def tokens(self) -> Tokens:
        usage = self.usage
        counts = [count(get(usage, name)) for name in _INPUT_COUNTS]
        known = [number for number in counts if number is not None]
        return Tokens(sum(known) if known else None, count(get(usage, "output_tokens")))


def _block(fields: dict[str, Any]) -> dict[str, Any]:
    """A block of a message; the JSON that a tool's input came in is read, if it came whole."""
    block = without_blanks(joined(fields))
    pieces = block.pop("partial_json", "")
    if pieces:
        try:
            block["input"] = json.loads(pieces)
        except ValueError:
            block["input"] = pieces
    return block


def _messages(body: Mapping[str, Any]) -> Any:
    said, system = body.get("messages"), body.get("system")
    if not system or type(said) not in (list, tuple):
        return said
    return [{"role": "system", "content": system}, *(said or ())]


def _parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("model", "messages", "system")
    return {name: value for name, value in body.items() if name not in left_out}


_MESSAGES = Endpoint("messages", MessageFold, _messages, _parameters)


def _endpoint(path: str) -> Endpoint | None:
    return _MESSAGES if path.endswith("/v1/messages") else None


def _fold_of(chunk: Any) -> Callable[[], Fold] | None:
    kind = get(chunk, "type")
    if kind in _EVENTS or (kind in _HELPER_EVENTS and get(chunk, "snapshot") is not None):
        return MessageFold
    return None


def _begins(fields: Mapping[str, Any]) -> bool:
    return fields.get("type") == "message_start" and bool(get(fields.get("message"), "role"))


def _fits(client: Any) -> bool:
    return False


def _reply_of(error: BaseException) -> Any:
    return None


PROVIDER = Provider(
    name="anthropic",
    clients="Anthropic, AsyncAnthropic",
    base_url="https://api.anthropic.com",
    endpoint=_endpoint,
    fold_of=_fold_of,
    begins=_begins,
    fits=_fits,
    reply_of=_reply_of,
)
