"""What frameworks ask of a decorated stream before they send it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import pytest

import afterword
from afterword import Client


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client("memory:", project="web", secret="k1:0123456789abcdef0123456789abcdef")
    yield client
    client.close()


@pytest.mark.anyio
async def test_an_async_stream_is_not_taken_for_a_plain_iterable(client: Client) -> None:
    """Django tries `iter` first, and would read the whole answer before it sends any of it."""

    @afterword.generation(client=client)
    async def words() -> AsyncIterator[str]:
        yield "one"

    stream = words()
    with pytest.raises(TypeError):
        iter(stream)  # type: ignore[call-overload]
    assert not isinstance(stream, Iterable)
    assert isinstance(stream, AsyncIterable)
    assert [word async for word in stream] == ["one"]


def test_a_plain_stream_is_not_taken_for_an_async_one(client: Client) -> None:
    @afterword.generation(client=client)
    def words() -> Iterator[str]:
        yield "one"

    stream = words()
    with pytest.raises(TypeError):
        aiter(stream)  # type: ignore[arg-type]
    assert not isinstance(stream, AsyncIterable)
    assert list(stream) == ["one"]
