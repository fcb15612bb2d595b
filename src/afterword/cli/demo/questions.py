"""What a browser may post to the demo's chat, and the plain answer to everything else (layer 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from afterword.cli.demo.answers import Turn

__all__ = ["Question", "read_question"]

MESSAGE_CHARACTERS = 4000
BODY_BYTES = 64_000
HISTORY_TURNS = 20


@dataclass(frozen=True, slots=True)
class Question:
    """One message and the turns before it, oldest first."""

    message: str
    history: list[Turn]


async def read_question(request: Request) -> Question:
    """The question in a request's body.

    Raises:
        HTTPException: 400 for a body that is not JSON, 413 for one that is too large, 422 for JSON that is not a
            question; the detail says what was expected.
    """
    body = await _read_body(request)
    if not body.strip():
        raise HTTPException(400, 'The body is empty; send {"message": "your question"}.')
    try:
        # msgspec is strict where the standard library is not: no NaN, no lone surrogate.
        content: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HTTPException(
            400, 'The body is not JSON; send {"message": "your question"}.'
        ) from None
    if not isinstance(content, dict):
        raise HTTPException(422, 'The body must be an object: {"message": "your question"}.')
    fields = cast("dict[str, object]", content)
    return Question(_message(fields.get("message")), _history(fields.get("history")))


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {BODY_BYTES // 1000} kB.")
    return bytes(body)


def _message(value: object) -> str:
    if value is None:
        raise HTTPException(422, "message is missing.")
    if not isinstance(value, str):
        raise HTTPException(422, "message must be a string.")
    if not value.strip():
        raise HTTPException(422, "message is empty.")
    if len(value) > MESSAGE_CHARACTERS:
        raise HTTPException(422, f"message is longer than {MESSAGE_CHARACTERS} characters.")
    return value


def _history(value: object) -> list[Turn]:
    if value is None:
        return []
    if not isinstance(value, list) or len(cast("list[object]", value)) > HISTORY_TURNS:
        raise HTTPException(422, f"history must be a list of at most {HISTORY_TURNS} turns.")
    return [_turn(item) for item in cast("list[object]", value)]


def _turn(value: object) -> Turn:
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    role, content = fields.get("role"), fields.get("content")
    if role not in ("user", "assistant") or not isinstance(content, str):
        raise HTTPException(
            422, 'every turn of history must be {"role": "user" or "assistant", "content": text}.'
        )
    return Turn(role=role, content=content)
