"""OpenAI: chat completions, responses and completions, and whoever speaks the same (layer 4)."""

from __future__ import annotations

import inspect
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
    merge,
    plain_fields,
    text_or_blocks,
    without_blanks,
)

_TEXT_ONLY = {"content"}


class _Reply:
    """What the three kinds of reply have in common."""

    def __init__(self) -> None:
        self.complete = False
        self.failure: tuple[str, str] | None = None
        self.model: str | None = None
        self.reply_id: str | None = None
        self.usage: Any = None
        self.room = Room()

    def _note(self, reply: Any) -> None:
        if self.model is None:
            self.model = get(reply, "model") or None
        if self.reply_id is None:
            self.reply_id = get(reply, "id") or None
        usage = get(reply, "usage")
        if usage is not None:
            self.usage = plain_fields(usage)
        error = get(reply, "error")
        if error:
            self.failure = (
                str(get(error, "code") or get(error, "type") or "error"),
                str(get(error, "message") or error),
            )

    def starts_over(self, chunk: Any) -> bool:
        return self.complete and get(chunk, "id") not in (None, self.reply_id)

    def tokens(self) -> Tokens:
        usage = self.usage
        return Tokens(count(get(usage, "prompt_tokens")), count(get(usage, "completion_tokens")))


def _only_text(chunk: Any) -> str | None:
    """The text of a chunk that brings a piece for the first choice and nothing else, as most do."""
    choices = getattr(chunk, "choices", None)
    if choices is None or len(choices) != 1 or getattr(chunk, "usage", None) is not None:
        return None
    choice = choices[0]
    delta = choice.delta
    if (
        getattr(delta, "__pydantic_fields_set__", None) != _TEXT_ONLY
        or choice.index
        or choice.finish_reason is not None
    ):
        return None
    text = delta.content
    return text if type(text) is str else None


class ChatFold(_Reply):
    """Chunks of a chat completion, or a whole one."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: dict[int, dict[str, Any]] = {}
        self._finished: dict[int, Any] = {}
        self._only: Text | None = None

    def add(self, chunk: Any) -> bool:
        if self._only is not None and type(chunk) is not dict:
            text = _only_text(chunk)
            if text is not None:
                if self.room.takes(text):
                    self._only.append(text)
                return bool(text)
        choices = get(chunk, "choices")
        self._note(chunk)
        brought = [self._add_choice(choice) for choice in choices or ()]
        return any(brought)

    def _add_choice(self, choice: Any) -> bool:
        index = get(choice, "index") or 0
        message = self._messages.setdefault(index, {"role": "assistant", "content": None})
        delta = plain_fields(get(choice, "delta"))
        brought = False
        if type(delta) is dict:
            merge(message, delta, self.room)
            brought = any(value for name, value in delta.items() if name != "role")
        content = message.get("content")
        self._only = content if index == 0 and type(content) is Text else None
        reason = get(choice, "finish_reason")
        if reason is not None:
            self._finished[index] = reason
            self.complete = len(self._finished) == len(self._messages)
        return brought

    def whole(self, reply: Any) -> None:
        self._note(reply)
        for place, choice in enumerate(get(reply, "choices") or ()):
            index = get(choice, "index")
            message = plain_fields(get(choice, "message"))
            if type(message) is dict:
                self._messages[place if index is None else index] = message
            self._finished[place if index is None else index] = get(choice, "finish_reason")
        self.complete = True

    def message(self) -> Any:
        return _one_or_all([_message(self._messages[index]) for index in sorted(self._messages)])

    def finish_reason(self) -> Any:
        return _one_or_all([self._finished[index] for index in sorted(self._finished)])


def _message(fields: dict[str, Any]) -> dict[str, Any]:
    """A message without what says nothing; streamed and not, it is the same."""
    message = {"role": "assistant", "content": None, **without_blanks(joined(fields))}
    calls = message.get("tool_calls")
    if type(calls) is list:
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"}
            if type(call) is dict
            else call
            for call in calls
        ]
    return message


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values or None


class CompletionFold(_Reply):
    """Chunks of a completion of the older kind, or a whole one: plain text."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, Text] = {}
        self._finished: dict[int, Any] = {}

    def add(self, chunk: Any) -> bool:
        self._note(chunk)
        brought = False
        for choice in get(chunk, "choices") or ():
            index = get(choice, "index") or 0
            texts = self._texts.setdefault(index, Text())
            text = get(choice, "text")
            if type(text) is str and text:
                brought = True
                if self.room.takes(text):
                    texts.append(text)
            reason = get(choice, "finish_reason")
            if reason is not None:
                self._finished[index] = reason
                self.complete = len(self._finished) == len(self._texts)
        return brought

    def whole(self, reply: Any) -> None:
        self.add(reply)
        self.complete = True

    def message(self) -> Any:
        return _one_or_all(["".join(self._texts[index]) for index in sorted(self._texts)])

    def finish_reason(self) -> Any:
        return _one_or_all([self._finished[index] for index in sorted(self._finished)])


#: Where the deltas of an unfinished item of a response belong: the item's field, and for parts of
#: a list their type and the field that numbers them.
_DELTAS = {
    "response.output_text.delta": ("content", "output_text", "content_index"),
    "response.refusal.delta": ("content", "refusal", "content_index"),
    "response.reasoning_text.delta": ("content", "reasoning_text", "content_index"),
    "response.reasoning_summary_text.delta": ("summary", "summary_text", "summary_index"),
    "response.function_call_arguments.delta": ("arguments", None, None),
    "response.mcp_call_arguments.delta": ("arguments", None, None),
    "response.custom_tool_call_input.delta": ("input", None, None),
    "response.code_interpreter_call_code.delta": ("code", None, None),
}
_LAST_EVENTS = frozenset(("response.completed", "response.incomplete", "response.failed"))


class ResponseFold(_Reply):
    """Events of a response, or a whole one."""

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str, str | None, int], Text] = {}
        self._reply: Any = None

    def add(self, chunk: Any) -> bool:
        kind = get(chunk, "type")
        place = _DELTAS.get(kind)
        if place is not None:
            return self._add_piece(chunk, place)
        if kind == "response.output_item.added" or kind == "response.output_item.done":
            index, item = get(chunk, "output_index"), plain_fields(get(chunk, "item"))
            if type(item) is dict and self.room.takes(""):
                self._items[index or 0] = item
                if kind == "response.output_item.done":
                    for key in [key for key in self._pieces if key[0] == index]:
                        del self._pieces[key]
        elif kind in _LAST_EVENTS:
            self.whole(get(chunk, "response"))
        elif kind == "error":
            self._note({"error": plain_fields(chunk)})
        elif get(chunk, "response") is not None:
            self._note(get(chunk, "response"))
        return False

    def _add_piece(self, chunk: Any, place: tuple[str, str | None, str | None]) -> bool:
        text = get(chunk, "delta")
        if type(text) is not str:
            return False
        if not self.room.takes(text):
            return bool(text)
        field, kind, numbered_by = place
        part = 0 if numbered_by is None else get(chunk, numbered_by) or 0
        key = (get(chunk, "output_index") or 0, field, kind, part)
        pieces = self._pieces.get(key)
        if pieces is None:
            self._pieces[key] = Text((text,))
        else:
            pieces.append(text)
        return bool(text)

    def whole(self, reply: Any) -> None:
        self._note(reply)
        self._reply = reply
        self.complete = True

    def starts_over(self, chunk: Any) -> bool:
        return self.complete and get(chunk, "type") == "response.created"

    def message(self) -> Any:
        items = plain_fields(get(self._reply, "output")) or self._unfinished()
        blocks: list[Any] = []
        for item in items:
            if get(item, "type") == "message" and type(get(item, "content")) is list:
                blocks.extend(item["content"])
            else:
                blocks.append(item)
        if not blocks:
            return None
        blocks = [without_blanks(block) if type(block) is dict else block for block in blocks]
        return {"role": "assistant", "content": text_or_blocks(blocks, "output_text")}

    def _unfinished(self) -> list[Any]:
        """The items as far as they came."""
        items = dict(self._items)
        for (index, field, kind, _), pieces in sorted(self._pieces.items(), key=_by_place):
            item: dict[str, Any] = dict(items.get(index) or {"type": "message"})
            text = "".join(pieces)
            if kind is None:
                item[field] = text
            else:
                name = "refusal" if kind == "refusal" else "text"
                item[field] = [*(item.get(field) or ()), {"type": kind, name: text}]
            items[index] = item
        return [items[index] for index in sorted(items)]

    def finish_reason(self) -> Any:
        details = get(self._reply, "incomplete_details")
        return get(details, "reason") or get(self._reply, "status")

    def tokens(self) -> Tokens:
        usage = self.usage
        return Tokens(count(get(usage, "input_tokens")), count(get(usage, "output_tokens")))


def _by_place(found: tuple[tuple[int, str, str | None, int], Text]) -> tuple[int, str, int]:
    (index, field, _, part), _ = found
    return index, field, part


def _chat_messages(body: Mapping[str, Any]) -> Any:
    return body.get("messages")


def _response_messages(body: Mapping[str, Any]) -> Any:
    said = body.get("input")
    if type(said) is str:
        said = [{"role": "user", "content": said}]
    instructions = body.get("instructions")
    if instructions is None or (said is not None and type(said) is not list):
        return said
    return [{"role": "system", "content": instructions}, *(said or ())]


def _no_messages(body: Mapping[str, Any]) -> Any:
    return None


def _parameters(*others: str) -> Any:
    left_out = frozenset(("model", *others))

    def parameters(body: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if name not in left_out}

    return parameters


_ENDPOINTS = {
    "/chat/completions": Endpoint(
        "chat.completions", ChatFold, _chat_messages, _parameters("messages"), "chat"
    ),
    "/responses": Endpoint(
        "responses",
        ResponseFold,
        _response_messages,
        _parameters("input", "instructions"),
        "responses",
    ),
    "/completions": Endpoint("completions", CompletionFold, _no_messages, _parameters(), "chat"),
}


def _endpoint(path: str) -> Endpoint | None:
    for ending, endpoint in _ENDPOINTS.items():
        if path.endswith(ending):
            return endpoint
    return None


def _fold_of(chunk: Any) -> Callable[[], Fold] | None:
    kind = get(chunk, "object")
    if kind == "chat.completion.chunk":
        return ChatFold
    if kind == "text_completion":
        return CompletionFold
    kind = get(chunk, "type")
    if type(kind) is str and kind.startswith("response."):
        return ResponseFold
    return None


def _begins(fields: Mapping[str, Any]) -> bool:
    kind = fields.get("object")
    if kind == "chat.completion.chunk" or kind == "text_completion":
        return type(fields.get("choices")) is list
    return fields.get("type") == "response.created" and fields.get("response") is not None


def _fits(client: Any) -> bool:
    """Other providers' SDKs of the same make, such as those of Groq, Together and Cerebras."""
    if not hasattr(type(client), "chat") or not callable(getattr(client, "request", None)):
        return False
    takes = inspect.signature(client.request).parameters
    return "cast_to" in takes and "options" in takes


def _reply_of(error: BaseException) -> Any:
    return getattr(error, "completion", None)


PROVIDER = Provider(
    name="openai",
    clients="OpenAI, AsyncOpenAI",
    base_url="https://api.openai.com/v1",
    endpoint=_endpoint,
    fold_of=_fold_of,
    begins=_begins,
    fits=_fits,
    reply_of=_reply_of,
)
