"""One way to write a test for sync and async clients alike."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any


async def done(value: Any) -> Any:
    """The value, awaited when it has to be."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> AsyncIterator[Any]:
    """The chunks of a stream of either kind."""
    if hasattr(stream, "__aiter__"):
        async for chunk in stream:
            yield chunk
    else:
        for chunk in stream:
            yield chunk


async def drained(stream: Any) -> list[Any]:
    return [chunk async for chunk in each(stream)]


async def following(stream: Any) -> Any:
    """The next chunk of a stream of either kind."""
    return await stream.__anext__() if hasattr(stream, "__anext__") else next(stream)


@contextlib.asynccontextmanager
async def opened(manager: Any) -> AsyncIterator[Any]:
    """`with` or `async with`, whichever the manager has."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value
