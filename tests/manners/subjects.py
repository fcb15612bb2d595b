"""Every kind of callable, as `kinds.py` loads it twice: once bare and once decorated.

Each takes `question` and `tone`. It gives words of them, and raises `question` if that is an error.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import types
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

#: Put here by whoever loads this module.
decorate: Any = globals()["decorate"]


def words(question: Any, tone: str) -> list[str]:
    if isinstance(question, BaseException):
        raise question
    return [str(question), tone]


@decorate
def plain(question: Any, tone: str = "kind") -> str:
    """Says it."""
    return " ".join(words(question, tone))


@decorate
async def awaited(question: Any, tone: str = "kind") -> str:
    """Says it later."""
    await asyncio.sleep(0)
    return " ".join(words(question, tone))


@decorate
def generator(question: Any, tone: str = "kind") -> Generator[str, str | None, str]:
    """Says it in parts."""
    yield "first"
    yield from words(question, tone)
    return "returned"


@decorate
async def async_generator(question: Any, tone: str = "kind") -> AsyncIterator[str]:
    """Says it in parts, later."""
    yield "first"
    await asyncio.sleep(0)
    for word in words(question, tone):
        yield word


def _bare_generator(question: Any, tone: str) -> Iterator[str]:
    yield "first"
    yield from words(question, tone)


async def _bare_async_generator(question: Any, tone: str) -> AsyncIterator[str]:
    yield "first"
    for word in words(question, tone):
        yield word


async def _bare_coroutine(question: Any, tone: str) -> str:
    await asyncio.sleep(0)
    return " ".join(words(question, tone))


@decorate
def returns_generator(question: Any, tone: str = "kind") -> Iterator[str]:
    return _bare_generator(question, tone)


@decorate
def returns_async_generator(question: Any, tone: str = "kind") -> AsyncIterator[str]:
    return _bare_async_generator(question, tone)


@decorate
async def awaits_generator(question: Any, tone: str = "kind") -> Iterator[str]:
    return _bare_generator(question, tone)


@decorate
async def awaits_async_generator(question: Any, tone: str = "kind") -> AsyncIterator[str]:
    return _bare_async_generator(question, tone)


@decorate
def returns_coroutine(question: Any, tone: str = "kind") -> Awaitable[str]:
    return _bare_coroutine(question, tone)


class Promise:
    """An awaitable that is no coroutine, with a method of its own."""

    def __init__(self, question: Any, tone: str) -> None:
        self.question, self.tone = question, tone

    def __await__(self) -> Generator[Any, Any, str]:
        return _bare_coroutine(self.question, self.tone).__await__()

    def cancel(self) -> str:
        return "cancelled"

    def __repr__(self) -> str:
        return "<a promise>"


@decorate
def returns_awaitable(question: Any, tone: str = "kind") -> Awaitable[str]:
    return Promise(question, tone)


@decorate
def returns_future(question: Any, tone: str = "kind") -> Awaitable[str]:
    return asyncio.ensure_future(_bare_coroutine(question, tone))


class Answer:
    """What SDKs return: something to iterate, with methods of its own."""

    def __init__(self, question: Any, tone: str) -> None:
        self.question, self.tone, self.closed = question, tone, False

    def __iter__(self) -> Iterator[str]:
        return _bare_generator(self.question, self.tone)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: Any) -> None:
        self.closed = True

    def final(self) -> str:
        return "final"

    def __repr__(self) -> str:
        return "<an answer>"


class AsyncAnswer:
    def __init__(self, question: Any, tone: str) -> None:
        self.question, self.tone, self.closed = question, tone, False

    def __aiter__(self) -> AsyncIterator[str]:
        return _bare_async_generator(self.question, self.tone)

    async def __aenter__(self) -> AsyncAnswer:
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.closed = True

    async def final(self) -> str:
        return "final"

    def __repr__(self) -> str:
        return "<an answer, later>"


@decorate
def returns_iterable(question: Any, tone: str = "kind") -> Answer:
    return Answer(question, tone)


@decorate
def returns_async_iterable(question: Any, tone: str = "kind") -> AsyncAnswer:
    return AsyncAnswer(question, tone)


@decorate
def returns_tuple(question: Any, tone: str = "kind") -> tuple[str, Iterator[str], int]:
    return "head", _bare_generator(question, tone), 3


@decorate
@types.coroutine
def generator_based(question: Any, tone: str = "kind") -> Generator[Any, Any, str]:
    yield
    return " ".join(words(question, tone))


class Bot:
    manner = "calm"

    @decorate
    def method(self, question: Any, tone: str = "kind") -> str:
        """Says it, as a bot."""
        return " ".join([self.manner, *words(question, tone)])

    @decorate
    async def async_method(self, question: Any, tone: str = "kind") -> str:
        return " ".join([self.manner, *words(question, tone)])

    @decorate
    def generator_method(self, question: Any, tone: str = "kind") -> Iterator[str]:
        yield self.manner
        yield from words(question, tone)

    @decorate
    async def async_generator_method(self, question: Any, tone: str = "kind") -> AsyncIterator[str]:
        yield self.manner
        for word in words(question, tone):
            yield word

    @decorate
    @classmethod
    def class_inside(cls, question: Any, tone: str = "kind") -> str:
        return " ".join([cls.manner, *words(question, tone)])

    @classmethod
    @decorate
    def class_outside(cls, question: Any, tone: str = "kind") -> str:
        return " ".join([cls.manner, *words(question, tone)])

    @decorate
    @staticmethod
    def static_inside(question: Any, tone: str = "kind") -> str:
        return " ".join(words(question, tone))

    @staticmethod
    @decorate
    def static_outside(question: Any, tone: str = "kind") -> str:
        return " ".join(words(question, tone))

    @classmethod
    @decorate
    async def async_class(cls, question: Any, tone: str = "kind") -> str:
        return " ".join([cls.manner, *words(question, tone)])

    @decorate
    def __call__(self, question: Any, tone: str = "kind") -> str:
        return " ".join([self.manner, *words(question, tone)])


class Asked:
    def __init__(self, question: Any, tone: str = "kind") -> None:
        self.question, self.tone = question, tone

    @property
    @decorate
    def answer(self) -> str:
        return " ".join(words(self.question, self.tone))


class Sayer:
    def __call__(self, question: Any, tone: str = "kind") -> str:
        return " ".join(words(question, tone))

    def __repr__(self) -> str:
        return "<a sayer>"


class AsyncSayer:
    async def __call__(self, question: Any, tone: str = "kind") -> str:
        return " ".join(words(question, tone))


class StreamSayer:
    def __call__(self, question: Any, tone: str = "kind") -> Iterator[str]:
        yield "first"
        yield from words(question, tone)


sayer = decorate(Sayer())
async_sayer = decorate(AsyncSayer())
stream_sayer = decorate(StreamSayer())


def _three(lead: str, question: Any, tone: str = "kind") -> str:
    return " ".join([lead, *words(question, tone)])


partial = decorate(functools.partial(_three, "so"))
unnamed = decorate(lambda question, tone="kind": " ".join(words(question, tone)))
cached = decorate(functools.lru_cache(maxsize=8)(_three.__get__("so")))


@dataclasses.dataclass(frozen=True)
class Record:
    lead: str = "data"

    @decorate
    def say(self, question: Any, tone: str = "kind") -> str:
        return " ".join([self.lead, *words(question, tone)])


class Slotted:
    __slots__ = ("lead",)

    def __init__(self) -> None:
        self.lead = "slot"

    @decorate
    def say(self, question: Any, tone: str = "kind") -> str:
        return " ".join([self.lead, *words(question, tone)])


@overload
def overloaded(question: str, tone: str = ...) -> str: ...
@overload
def overloaded(question: BaseException, tone: str = ...) -> None: ...
@decorate
def overloaded(question: Any, tone: str = "kind") -> Any:
    return " ".join(words(question, tone))


@decorate
def generic(question: T, tone: str = "kind") -> T:
    words(question, tone)
    return question


class Box(Generic[T]):
    @decorate
    def say(self, question: T, tone: str = "kind") -> T:
        words(question, tone)
        return question
