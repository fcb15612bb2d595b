"""Chat messages as a conversation of roles and texts (layer 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["Conversation", "Turn", "conversation"]

MAX_TURNS = 200


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `text` is what was said; `extra` is everything else of it, or None."""

    role: str
    text: str
    extra: Any


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one generation, the last 200 of them; `left_out` counts the earlier ones."""

    turns: list[Turn]
    left_out: int


def conversation(messages: Any) -> Conversation | None:
    """The messages as a conversation; None when they are not a list of messages with roles."""
    if not isinstance(messages, list) or not messages:
        return None
    found = cast("Sequence[Any]", messages)
    if not all(isinstance(message, dict) and "role" in message for message in found):
        return None
    turns = [_turn(message) for message in found[-MAX_TURNS:]]
    return Conversation(turns=turns, left_out=len(found) - len(turns))


def _turn(message: dict[str, Any]) -> Turn:
    extra = {
        name: value
        for name, value in message.items()
        if name not in ("role", "content") and value not in (None, [], {}, "")
    }
    text, others = _said(message.get("content"))
    if others:
        extra["content"] = others
    return Turn(role=str(message["role"]), text=text, extra=extra or None)


def _said(content: Any) -> tuple[str, list[Any]]:
    if content is None:
        return "", []
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        return "", [content]
    texts: list[str] = []
    others: list[Any] = []
    for part in cast("Sequence[Any]", content):
        fields: Mapping[str, Any] = (
            cast("Mapping[str, Any]", part) if isinstance(part, dict) else {}
        )
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(fields.get("text"), str):
            texts.append(fields["text"])
        else:
            others.append(part)
    return "\n\n".join(texts), others
