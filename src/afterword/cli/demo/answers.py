"""The one function of the demo that calls a model, decorated as a user would decorate it (layer 6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, TypedDict, cast

from openai.types.chat import ChatCompletionMessageParam

import afterword
from afterword.cli.demo.chat_model import ChatModel

__all__ = ["Answer", "Turn", "build_answer"]

_VERSION = "1"
_INSTRUCTION = "You are a friendly expert. Reply briefly, in at most three sentences."
_HISTORY_CHARACTERS = 6000


class Turn(TypedDict):
    """One earlier message of a conversation; `role` is user or assistant."""

    role: str
    content: str


class Answer(Protocol):
    """Streams the text of an answer to `question`, given the turns before it, oldest first."""

    def __call__(
        self, question: str, history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str, None]: ...


def build_answer(client: afterword.Client, model: ChatModel) -> Answer:
    """The function that streams an answer's text; every call of it is a generation on `client`."""

    @afterword.generation(name="chat", version=_VERSION, model=model.name, client=client)
    async def answer(question: str, history: Sequence[Turn] = ()) -> AsyncGenerator[str, None]:
        messages = [
            Turn(role="system", content=_INSTRUCTION),
            *_latest(history),
            Turn(role="user", content=question),
        ]
        afterword.annotate(messages=messages)
        stream = await model.client.chat.completions.create(
            model=model.name,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            stream=True,
            stream_options={"include_usage": True},
        )
        async with stream:
            async for chunk in stream:
                if chunk.usage:
                    afterword.annotate(
                        usage={
                            "input_tokens": chunk.usage.prompt_tokens,
                            "output_tokens": chunk.usage.completion_tokens,
                        }
                    )
                for choice in chunk.choices:
                    if choice.finish_reason:
                        afterword.annotate(metadata={"finish_reason": choice.finish_reason})
                    if choice.delta.content:
                        yield choice.delta.content

    return answer


def _latest(history: Sequence[Turn]) -> list[Turn]:
    """The newest turns that fit the model's context, oldest first, beginning with a question."""
    kept: list[Turn] = []
    room = _HISTORY_CHARACTERS
    for turn in reversed(history):
        room -= len(turn["content"])
        if room < 0:
            break
        kept.insert(0, turn)
    while kept and kept[0]["role"] != "user":
        del kept[0]
    return kept
