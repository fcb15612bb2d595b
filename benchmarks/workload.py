"""What every benchmark calls: 1 kB in, 2 kB out, no two alike, plain, with wrapt alone, and decorated.

Text in and text out; and the same with a list of messages beside it and a reply of five objects.
"""

from __future__ import annotations

import random
import string
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import wrapt

import afterword

CHUNKS = 200
_DIFFERENT = 500

_random = random.Random(7)


def _text(length: int) -> str:
    words = (
        "".join(_random.choices(string.ascii_lowercase, k=_random.randint(2, 9)))
        for _ in cycle([0])
    )
    out = ""
    while len(out) < length:
        out += next(words) + " "
    return out[:length]


PROMPTS = [_text(1_000) for _ in range(_DIFFERENT)]
MESSAGES = [
    [{"role": "system", "content": _text(200)}, {"role": "user", "content": _text(300)}]
    for _ in range(_DIFFERENT)
]
REPLIES = [
    {
        "id": f"reply-{number}",
        "model": "stand-in",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": _text(2_000)},
            }
        ],
        "usage": {"prompt_tokens": 250, "completion_tokens": 500},
    }
    for number in range(_DIFFERENT)
]
_texts = cycle([reply["choices"][0]["message"]["content"] for reply in REPLIES])
_replies = cycle(REPLIES)
_prompts = cycle(PROMPTS)
_messages = cycle([(messages,) for messages in MESSAGES])

Arguments = tuple[Any, ...]


def text_arguments() -> Arguments:
    """The next prompt."""
    return (next(_prompts),)


def messages_arguments() -> Arguments:
    """The next prompt and messages."""
    return next(_prompts), *next(_messages)


def call(prompt: str) -> str:
    return next(_texts)


async def call_async(prompt: str) -> str:
    return next(_texts)


def call_messages(prompt: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    return next(_replies)


async def call_messages_async(prompt: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    return next(_replies)


def stream(prompt: str) -> Iterator[str]:
    for _ in range(CHUNKS):
        yield "ten chars "


async def stream_async(prompt: str) -> AsyncIterator[str]:
    for _ in range(CHUNKS):
        yield "ten chars "


@wrapt.decorator
def passing(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """What wrapt costs when the decorator does nothing."""
    return wrapped(*args, **kwargs)


def variants(function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The function itself, behind wrapt alone, and decorated by us."""
    return {
        "plain": function,
        "wrapt": passing(function),
        "afterword": afterword.generation(function),
    }


def client() -> afterword.Client:
    """The default client, delivering to a real SQLite file."""
    folder = tempfile.mkdtemp(prefix="afterword-bench-")
    return afterword.configure(f"sqlite:///{Path(folder) / 'bench.db'}")
