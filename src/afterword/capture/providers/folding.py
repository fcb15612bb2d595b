"""Folding: what a provider is to us, and how its chunks add up to one message (layer 4).

A provider's own file says where its model calls go and holds a `Fold` for each kind of reply.
Nothing here, and nothing in those files, imports a provider's package: chunks are read by field,
whether they are objects of an SDK or plain dicts read off the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from afterword.snapshot import MAX_BYTES

_MAX_DEPTH = 48

#: What an SDK adds to a reply: objects of the user's own classes, made from the texts beside them.
_MADE_BY_SDK = frozenset(("parsed", "parsed_arguments", "parsed_output"))

_ATOMS = frozenset((str, int, float, bool, type(None)))


class Tokens(NamedTuple):
    """How many tokens went in, cached ones included, and came out; None where nobody said."""

    input: int | None
    output: int | None


class Room:
    """How many bytes of a reply are still kept."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_BYTES

    def takes(self, text: Any) -> bool:
        """Whether there is room for this text, which then is taken."""
        if self.left < 0:
            return False
        self.left -= len(text) + 8 if type(text) is str else 64
        return self.left >= 0


class Fold(Protocol):
    """One reply, taken in chunk by chunk or whole."""

    #: Whether the provider has said that the message is finished.
    complete: bool
    #: How much more of it is kept; below 0, some was left out.
    room: Room
    #: What the provider reported instead of raising it: type and message.
    failure: tuple[str, str] | None
    model: str | None
    reply_id: str | None
    usage: Any

    def add(self, chunk: Any) -> bool:
        """Take in one chunk; whether it brought some of the answer."""
        ...

    def whole(self, reply: Any) -> None:
        """Take in a reply that was not streamed."""
        ...

    def starts_over(self, chunk: Any) -> bool:
        """Whether this chunk begins another message."""
        ...

    def message(self) -> Any:
        """The message so far, as plain values; None when there is nothing of it."""
        ...

    def finish_reason(self) -> Any:
        """Why the provider stopped, in its own words, or None."""
        ...

    def tokens(self) -> Tokens:
        """What the provider counted."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One kind of model call. `messages` and `parameters` read the body of a request."""

    name: str
    fold: Callable[[], Fold]
    messages: Callable[[Mapping[str, Any]], Any]
    parameters: Callable[[Mapping[str, Any]], dict[str, Any]]
    #: What genai-prices calls this kind of usage.
    usage_kind: str = "default"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `name` is also the package of its SDK."""

    name: str
    clients: str
    #: Where its own clients talk to unless told otherwise.
    base_url: str
    #: The endpoint of a request's path, or None for requests that are not model calls.
    endpoint: Callable[[str], Endpoint | None]
    #: The fold for chunks like this one, or None when it is no chunk of this provider's.
    fold_of: Callable[[Any], Callable[[], Fold] | None]
    #: Whether a stream of anyone's that begins with these fields is surely this provider's.
    begins: Callable[[Mapping[str, Any]], bool]
    #: Whether a client of a package we do not know makes the same calls.
    fits: Callable[[Any], bool]
    #: What an error of the SDK holds of a reply that had come whole, or None.
    reply_of: Callable[[BaseException], Any]


def get(value: Any, name: str) -> Any:
    """A field of a chunk: of a dict by key, of an SDK's object by attribute. None when absent."""
    if type(value) is dict:
        return value.get(name)
    return getattr(value, name, None)


def plain_fields(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """An SDK's object as the JSON it came from; no method of it is called.

    What the reply did not say is left out, what the SDK does not know is kept.
    """
    kind = type(value)
    if kind in _ATOMS or depth == 0:
        return value
    if kind is list or kind is tuple:
        return [plain_fields(item, depth - 1) for item in value]
    pairs = value if kind is dict else _said(kind, value)
    if pairs is None:
        return value
    return {
        name: plain_fields(item, depth - 1)
        for name, item in pairs.items()
        if name not in _MADE_BY_SDK
    }


def stored_fields(value: Any) -> Mapping[str, Any] | None:
    """The fields of a dict or a pydantic model as they are stored; None for anything else."""
    if type(value) is dict:
        return value
    if hasattr(type(value), "__pydantic_fields__"):
        stored: dict[str, Any] = object.__getattribute__(value, "__dict__")
        return stored
    return None


def _said(kind: type, value: Any) -> dict[str, Any] | None:
    """The fields of a pydantic model that were set; None for anything else."""
    if hasattr(kind, "__pydantic_fields__"):
        stored = value.__dict__
        extra = value.__pydantic_extra__
        said = value.__pydantic_fields_set__
        fields = {name: item for name, item in stored.items() if name in said}
        return {**fields, **extra} if extra else fields
    if hasattr(kind, "__fields_set__"):  # pydantic 1
        said = value.__fields_set__
        return {name: item for name, item in value.__dict__.items() if name in said}
    return None


def without_blanks(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that hold something."""
    return {name: value for name, value in fields.items() if value is not None and value != []}


class Text(list[str]):
    """A text in pieces, joined when it is asked for; adding to a long string would copy it."""


def joined(value: Any) -> Any:
    """The value with each `Text` in it made one string."""
    kind = type(value)
    if kind is Text:
        return "".join(value)
    if kind is dict:
        return {name: joined(item) for name, item in value.items()}
    if kind is list:
        return [joined(item) for item in value]
    return value


#: Fields that name something. A server that repeats one in every chunk does not mean more of it.
_NAMES = frozenset(("id", "index", "name", "role", "type"))


def merge(into: dict[str, Any], delta: Mapping[str, Any], room: Room) -> None:
    """Add a delta to what is there: texts grow, lists grow by their `index`, the rest replaces."""
    for name, value in delta.items():
        if value is None:
            into.setdefault(name, None)
            continue
        if not room.takes(value):
            return
        known = into.get(name)
        if type(value) is str and name not in _NAMES:
            if type(known) is Text:
                known.append(value)
            else:
                into[name] = Text((value,))
        elif type(value) is dict:
            if type(known) is not dict:
                into[name] = known = {}
            merge(known, value, room)
        elif type(value) is list:
            if type(known) is not list:
                into[name] = known = []
            _merge_items(known, value, room)
        elif value != "" or known is None:
            into[name] = value


def _merge_items(into: list[Any], delta: list[Any], room: Room) -> None:
    for item in delta:
        index = item.get("index") if type(item) is dict else None
        if type(index) is not int:
            into.append(item)
            continue
        for known in into:
            if type(known) is dict and known.get("index") == index:
                merge(known, item, room)
                break
        else:
            fresh: dict[str, Any] = {}
            merge(fresh, item, room)
            into.append(fresh)


def text_or_blocks(blocks: list[Any], kind: str) -> Any:
    """The text itself when a message is one block of text and nothing else, else its blocks."""
    only = blocks[0] if len(blocks) == 1 else None
    if type(only) is dict and only.keys() == {"type", "text"} and only["type"] == kind:
        return only["text"]
    return blocks


def count(value: Any) -> int | None:
    """A number of tokens, or None for anything that is none."""
    return value if type(value) is int and value >= 0 else None
