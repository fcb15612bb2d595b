"""What frameworks ask of a decorated stream before they send it, and responses of one's own making."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import pytest
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware


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


class OwnStream(StreamingResponse):
    """A response that somebody derived, and whose headers they set themselves."""

    media_type = "text/x-own"

    def __init__(self, content: AsyncIterator[str]) -> None:
        super().__init__(content, headers={"x-own": "1"})


class OwnEvents(EventSourceResponse):
    """The same for server-sent events."""

    def __init__(self, content: AsyncIterator[str]) -> None:
        super().__init__(content, ping=600)


@pytest.mark.parametrize("kind", [StreamingResponse, EventSourceResponse, OwnStream, OwnEvents])
def test_streams_and_what_is_derived_from_them_announce_themselves_with_their_first_byte(
    kind: type[StreamingResponse], client: Client
) -> None:
    """The ID and the token are in the head, which is there before the body has begun."""
    begun: list[str] = []

    @afterword.generation(client=client)
    async def words() -> AsyncIterator[str]:
        begun.append("begun")
        yield "one"
        yield "two"

    async def answer(request: object) -> StreamingResponse:
        return kind(words())

    async def noting(scope: object, receive: object, send: object) -> None:
        async def note(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                heads.append((dict(message["headers"]), list(begun)))  # type: ignore[call-overload]
            await send(message)  # type: ignore[operator]

        await app(scope, receive, note)  # type: ignore[arg-type]

    heads: list[tuple[dict[bytes, bytes], list[str]]] = []
    app = FeedbackMiddleware(Starlette(routes=[Route("/", answer)]), client=client)
    response = TestClient(noting).get("/")
    ((head, begun_before),) = heads
    assert begun_before == []
    assert b"one" in response.content
    assert b"two" in response.content
    assert client.flush(10)
    assert client.generations().items[0].id == head[b"afterword-data-id"].decode()
    assert head[b"afterword-feedback-token"].startswith(b"aw1.")
