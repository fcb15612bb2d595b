"""What type checkers must make of every decorated kind. Checked by test_typing.py, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar, assert_type, overload

import afterword
from afterword import Logged, generation

T = TypeVar("T")


@generation
def plain(question: str, *, words: int = 3) -> list[str]:
    return question.split()[:words]


@generation(project="a", name="b", version="c", model="d", tags=["x"], sample=0.5)
async def awaited(question: str) -> int:
    return len(question)


@generation
def counted(stop: int) -> Generator[int, str, bool]:
    sent = yield stop
    return bool(sent)


@generation
async def streamed(question: str) -> AsyncGenerator[str, None]:
    yield question


@generation()
def iterated(question: str) -> Iterator[str]:
    yield question


@generation
async def aiterated(question: str) -> AsyncIterator[str]:
    yield question


@generation
def generic(value: T) -> T:
    return value


class Bot:
    @generation
    def method(self, question: str) -> str:
        return question

    @generation(name="async method")
    async def amethod(self, question: str) -> str:
        return question

    @generation
    @classmethod
    def inner_class(cls, question: str) -> str:
        return question

    @classmethod
    @generation
    def outer_class(cls, question: str) -> str:
        return question

    @generation
    @staticmethod
    def inner_static(question: str) -> str:
        return question

    @staticmethod
    @generation
    def outer_static(question: str) -> str:
        return question

    @property
    @generation
    def answer(self) -> int:
        return 42


@overload
def either(value: int) -> int: ...
@overload
def either(value: str) -> str: ...
@generation
def either(value: int | str) -> int | str:
    return value


async def checks(bot: Bot) -> None:
    assert_type(plain("a b", words=2), list[str])
    assert_type(plain.logged("a b"), Logged[list[str]])
    assert_type(plain.logged("a b").data_id, str | None)
    plain_callable: Callable[[str], list[str]] = plain
    assert_type(plain_callable("a"), list[str])
    assert_type(plain.__name__, str)

    assert_type(await awaited("a"), int)
    assert_type(await awaited.logged("a"), Logged[int])
    awaited_callable: Callable[[str], Coroutine[Any, Any, int]] = awaited
    assert_type(await awaited_callable("a"), int)

    counting = counted(1)
    declared: Generator[int, str, bool] = counting
    assert_type(next(declared), int)
    assert_type(counting.data_id, str)
    assert_type(counting.send("x"), int)

    stream = streamed("a")
    declared_stream: AsyncGenerator[str, None] = stream
    assert_type(stream.data_id, str)
    async for chunk in stream:
        assert_type(chunk, str)
    await declared_stream.aclose()

    assert_type(iterated("a"), Iterator[str])
    assert_type(iterated.logged("a").data_id, str | None)
    assert_type(aiterated("a"), AsyncIterator[str])
    # mypy gives up a function's own type variables in every class that wraps it.
    assert_type(generic(3), int)  # type: ignore
    assert_type(generic("x"), str)  # type: ignore

    assert_type(bot.method("a"), str)
    assert_type(bot.method.logged("a"), Logged[str])
    assert_type(await bot.amethod("a"), str)
    assert_type(await bot.amethod.logged("a"), Logged[str])
    assert_type(Bot.inner_class("a"), str)
    assert_type(bot.outer_class("a"), str)
    # mypy passes over @staticmethod beside a decorator, pyright above one that gives no function.
    assert_type(Bot.inner_static("a"), str)  # type: ignore
    assert_type(bot.outer_static("a"), str)  # type: ignore
    assert_type(bot.answer, int)
    assert_type(either(1), int)
    assert_type(either("x"), str)

    assert_type(afterword.last_data_id(), str | None)
    assert_type(afterword.feedback("id", "rating", "good"), afterword.Feedback)
    assert_type(afterword.feedback([{"type": "rating"}]), list[afterword.Feedback])
    assert_type(afterword.carry(plain)("a"), list[str])


def wrong_calls(bot: Bot) -> None:
    plain(3)  # expect: error
    plain("a", "b")  # expect: error
    plain.logged(question=1)  # expect: error
    awaited()  # expect: error
    bot.method(1)  # expect: error
    bot.method.logged()  # expect: error
    streamed(None)  # expect: error
    generation(3)  # expect: error
    generation(sample="often")  # expect: error
