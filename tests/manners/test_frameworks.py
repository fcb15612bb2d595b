"""Decorated functions where frameworks ask what they are: FastAPI, Starlette, asyncio, anyio, contextlib."""

# Annotations are evaluated here: FastAPI could not find what is local to a function by its name.

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Query
from fastapi.responses import StreamingResponse as FastAPIStream
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

import afterword
from afterword import Client, Generation
from afterword.asgi import FeedbackMiddleware

pytestmark = pytest.mark.anyio

ID = "afterword-data-id"
Decorate = Callable[[Any], Any]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="frameworks")
    yield made
    made.close()


def by_name(client: Client) -> dict[str, list[Generation]]:
    assert client.flush(10)
    found: dict[str, list[Generation]] = {}
    for each in client.generations(limit=500).items:
        found.setdefault(str(each.name).rsplit(".", 1)[-1], []).append(each)
    return found


# --- FastAPI ----------------------------------------------------------------------------------


def fastapi_app(decorate: Decorate) -> FastAPI:
    app = FastAPI()
    events: list[str] = []

    @decorate
    def tone(tone: Annotated[str, Query(max_length=5)] = "kind") -> str:
        return tone

    @decorate
    async def question(question: str) -> str:
        return question.upper()

    @decorate
    async def session(tone: Annotated[str, Depends(tone)]) -> AsyncIterator[str]:
        events.append("opened")
        try:
            yield f"session of a {tone} one"
        finally:
            events.append("closed")

    @decorate
    def sync_session() -> Iterator[str]:
        try:
            yield "sync"
        except LookupError:
            events.append("told")
            raise
        finally:
            events.append("sync closed")

    class Checker:
        def __init__(self, most: int) -> None:
            self.most = most

        def __call__(self, question: str) -> bool:
            return len(question) <= self.most

    checker = decorate(Checker(5))

    @app.get("/plain")
    @decorate
    def plain(
        question: Annotated[str, Depends(question)],
        fits: Annotated[bool, Depends(checker)],
        n: int = 1,
    ) -> dict[str, Any]:
        return {"question": question, "fits": fits, "n": n}

    @app.get("/async")
    @decorate
    async def later(
        session: Annotated[str, Depends(session)], sync: Annotated[str, Depends(sync_session)]
    ) -> list[str]:
        return [session, sync, *events]

    @app.get("/failing")
    @decorate
    async def failing(sync: Annotated[str, Depends(sync_session)]) -> None:
        raise LookupError(sync)

    @app.get("/stream")
    @decorate
    async def stream() -> FastAPIStream:
        return FastAPIStream(words("a", "b"))

    @decorate
    async def words(*given: str) -> AsyncIterator[str]:
        for word in given:
            await asyncio.sleep(0)
            yield word

    @app.get("/events")
    def seen() -> list[str]:
        return events

    return app


REQUESTS = [
    "/plain?question=why", "/plain?question=whatever&n=2", "/plain", "/plain?question=a&n=no",
    "/async", "/async?tone=curt", "/async?tone=far-too-long", "/failing", "/stream", "/events", "/openapi.json",
]  # fmt: skip


def test_fastapi_serves_decorated_endpoints_and_dependencies_as_bare_ones(client: Client) -> None:
    def answers(decorate: Decorate) -> list[Any]:
        http = TestClient(fastapi_app(decorate), raise_server_exceptions=False)
        found = [http.get(path) for path in REQUESTS]
        return [(each.status_code, each.text, dict(each.headers)) for each in found]

    assert answers(afterword.generation) == answers(lambda function: function)
    found = by_name(client)
    # Of seven requests one is refused before its endpoint, two for their arguments.
    assert [each.status for each in found["failing"]] == ["error"]
    assert [each.output for each in found["words"]] == ["ab"]
    assert {each.status for each in found["session"]} == {"ok"}
    assert [each.inputs["question"] for each in found["plain"]] == ["WHATEVER", "WHY"]
    assert client.status().faults == 0


# --- Starlette --------------------------------------------------------------------------------


def starlette_routes(decorate: Decorate) -> list[Route]:
    @decorate
    async def later(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    @decorate
    def now(request: Request) -> Response:
        return JSONResponse({"path": request.url.path})

    @decorate
    async def words(*given: str) -> AsyncIterator[str]:
        for word in given:
            yield word

    @decorate
    def sync_words(*given: str) -> Iterator[str]:
        yield from given

    async def stream(request: Request) -> Response:
        return StreamingResponse(words("a", "b"))

    async def sync_stream(request: Request) -> Response:
        return StreamingResponse(sync_words("a", "b"))

    class Endpoint(HTTPEndpoint):
        @decorate
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("got")

        @decorate
        def post(self, request: Request) -> Response:
            return PlainTextResponse("posted")

    return [
        Route("/later", later), Route("/now", now), Route("/stream", stream),
        Route("/sync-stream", sync_stream), Route("/class", Endpoint),
    ]  # fmt: skip


def test_starlette_serves_decorated_endpoints_and_streams_as_bare_ones(client: Client) -> None:
    def answers(decorate: Decorate) -> list[Any]:
        http = TestClient(Starlette(routes=starlette_routes(decorate)))
        found = [http.get(path) for path in ("/later", "/now", "/stream", "/sync-stream", "/class")]
        found += [http.post("/class"), http.put("/class")]
        return [(each.status_code, each.text, dict(each.headers)) for each in found]

    assert answers(afterword.generation) == answers(lambda function: function)
    found = by_name(client)
    assert {name: len(each) for name, each in found.items()} == {
        "later": 1, "now": 1, "words": 1, "sync_words": 1, "get": 1, "post": 1,
    }  # fmt: skip
    assert client.status().faults == 0


# --- the web layer, many at once --------------------------------------------------------------


class Passing(BaseHTTPMiddleware):
    """Runs what is below it in a task of its own."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response


@afterword.generation(name="answer")
async def answer(number: str) -> str:
    await asyncio.sleep(0)
    return number


@afterword.generation(name="afterwards")
async def afterwards(number: str) -> str:
    return number


@afterword.generation(name="sync-afterwards")
def sync_afterwards(number: str) -> str:
    return number


@afterword.generation(name="chunks")
async def chunks(number: str) -> AsyncIterator[str]:
    for _ in range(3):
        await asyncio.sleep(0)
        yield number


async def asked(request: Request) -> Response:
    number = request.path_params["number"]
    await answer(number)
    act = afterwards if int(number) % 2 else sync_afterwards
    return PlainTextResponse(number, background=BackgroundTask(act, number))


async def streamed(request: Request) -> Response:
    return StreamingResponse(chunks(request.path_params["number"]))


def user_of(scope: Any) -> str:
    return str(scope["path"]).rsplit("/", 1)[-1]


def starlette_app(*middleware: Middleware) -> ASGIApp:
    routes = [Route("/asked/{number}", asked), Route("/streamed/{number}", streamed)]
    return Starlette(routes=routes, middleware=list(middleware))


def with_fastapi() -> ASGIApp:
    app = FastAPI()
    app.add_middleware(FeedbackMiddleware, user=user_of)

    @app.get("/asked/{number}")
    async def ask(number: str, tasks: BackgroundTasks) -> Response:
        tasks.add_task(afterwards, number)
        tasks.add_task(sync_afterwards, number)
        await answer(number)
        return PlainTextResponse(number, background=tasks)

    app.add_api_route("/streamed/{number}", lambda number: FastAPIStream(chunks(number)))
    return app


OURS = Middleware(FeedbackMiddleware, user=user_of)
APPS: dict[str, Callable[[], ASGIApp]] = {
    "alone": lambda: starlette_app(OURS),
    "below a base middleware": lambda: starlette_app(Middleware(Passing), OURS),
    "above a base middleware": lambda: starlette_app(OURS, Middleware(Passing)),
    "between two": lambda: starlette_app(Middleware(Passing), OURS, Middleware(Passing)),
    "in FastAPI": with_fastapi,
}


@pytest.mark.parametrize("name", APPS)
async def test_each_of_many_requests_is_told_of_its_own_generation(
    client: Client, name: str
) -> None:
    transport = httpx.ASGITransport(APPS[name]())
    async with httpx.AsyncClient(transport=transport, base_url="http://web") as http:

        async def ask(kind: str, number: int) -> tuple[int, str]:
            response = await http.get(f"/{kind}/{number}")
            assert response.text == str(number) * (3 if kind == "streamed" else 1)
            return number, response.headers[ID]

        both = [ask(kind, number) for number in range(60) for kind in ("asked", "streamed")]
        told = await asyncio.gather(*both)
    assert await client.aflush(10)
    found = await asyncio.to_thread(by_name, client)
    everything = {each.id: each for group in found.values() for each in group}
    for number, data_id in told:
        assert everything[data_id].inputs == {"number": str(number)}
    for each in everything.values():
        assert each.user == each.inputs["number"]  # those of background tasks too
        assert each.parent_id is None
        assert each.status == "ok"
    tasks = len(found["afterwards"]) + len(found["sync-afterwards"])
    assert (len(found["answer"]), len(found["chunks"])) == (60, 60)
    assert tasks == (120 if name == "in FastAPI" else 60)
    assert client.status().faults == 0


def test_messages_of_websockets_that_take_turns_have_trails_of_their_own(client: Client) -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        async for message in socket.iter_text():
            assert afterword.last_data_id() is None
            async with afterword.trail(user=message) as trail:
                await answer(message)
                await socket.send_json([*trail.data_ids, afterword.current_data_id()])

    app = Starlette(routes=[WebSocketRoute("/talk", talk)], middleware=[OURS])
    with (
        TestClient(app) as http,
        http.websocket_connect("/talk") as one,
        http.websocket_connect("/talk") as other,
    ):
        told = {}
        for turn in range(10):
            one.send_text(f"one {turn}")
            other.send_text(f"other {turn}")
            for socket, name in ((other, "other"), (one, "one")):
                (mine, current) = socket.receive_json()
                told[mine] = f"{name} {turn}"
                assert current is None
    found = by_name(client)["answer"]
    assert {each.id: each.user for each in found} == told
    assert len(told) == 20
