"""The kinds of streams. Each gives "a" and "b", and then ends, raises `error` or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import afterword


class Refused(Exception):
    pass


def words(error: Exception | None = None) -> Iterator[str]:
    yield "a"
    yield "b"
    if error is not None:
        raise error


async def awords(error: Exception | None = None, hang: bool = False) -> AsyncIterator[str]:
    yield "a"
    await asyncio.sleep(0)
    yield "b"
    if hang:
        await asyncio.Event().wait()
    if error is not None:
        raise error


class Words:
    """An iterator that is no generator."""

    def __init__(self, error: Exception | None) -> None:
        self.words = words(error)

    def __iter__(self) -> Words:
        return self

    def __next__(self) -> str:
        return next(self.words)

    def close(self) -> None:
        self.words = iter(())


class AsyncWords:
    def __init__(self, error: Exception | None, hang: bool) -> None:
        self.words = awords(error, hang)

    def __aiter__(self) -> AsyncWords:
        return self

    async def __anext__(self) -> str:
        return await anext(self.words)

    async def aclose(self) -> None:
        await self.words.aclose()  # type: ignore[attr-defined]


class Iterable:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def __iter__(self) -> Iterator[str]:
        return words(self.error)


class AsyncIterable:
    def __init__(self, error: Exception | None, hang: bool) -> None:
        self.error, self.hang = error, hang

    def __aiter__(self) -> AsyncIterator[str]:
        return awords(self.error, self.hang)


class Bot:
    @afterword.generation
    def method(self, error: Exception | None = None) -> Iterator[str]:
        yield from words(error)

    @afterword.generation
    async def async_method(
        self, error: Exception | None = None, hang: bool = False
    ) -> AsyncIterator[str]:
        async for word in awords(error, hang):
            yield word


def _first(pair: Any) -> Any:
    return pair[0]


SYNC: dict[str, Callable[..., Any]] = {
    "generator": afterword.generation(words),
    "returned": afterword.generation(lambda error=None: words(error)),
    "method": Bot().method,
    "iterator": afterword.generation(lambda error=None: Words(error)),
    "iterable": afterword.generation(lambda error=None: Iterable(error)),
    "in a tuple": lambda error=None: _first(_pair(error)),
}


@afterword.generation
def _pair(error: Exception | None) -> tuple[Iterator[str], int]:
    return words(error), 1


@afterword.generation
async def _opened(error: Exception | None, hang: bool) -> AsyncIterator[str]:
    return awords(error, hang)


ASYNC: dict[str, Callable[..., Any]] = {
    "generator": afterword.generation(awords),
    "returned": afterword.generation(lambda error=None, hang=False: awords(error, hang)),
    "awaited": lambda error=None, hang=False: _opened(error, hang),
    "method": Bot().async_method,
    "iterator": afterword.generation(lambda error=None, hang=False: AsyncWords(error, hang)),
    "iterable": afterword.generation(lambda error=None, hang=False: AsyncIterable(error, hang)),
}


async def opened(kind: str, **options: Any) -> Any:
    made = ASYNC[kind](**options)
    return await made if kind == "awaited" else made
