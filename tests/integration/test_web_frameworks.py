"""Starlette and FastAPI: every kind of response carries the ID of the generation behind it."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI
from framework_apps import ID, MAKERS, TOKEN, Endpoints, PassOn, endpoints_of
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, feedback_routes, handle


@pytest.fixture
def endpoints(client: Client) -> Endpoints:
    return endpoints_of(client)


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]


def kept(client: Client, response: Any) -> afterword.Generation:
    """The generation a response is about; its token has been used to rate it."""
    data_id = response.headers[ID]
    found = client.get(data_id)
    assert found is not None
    return found


def rate(http: TestClient, response: Any) -> None:
    body = {"token": response.headers[TOKEN], "type": "rating", "value": "good"}
    answer = http.post("/feedback/", json=body)
    assert answer.status_code == 202
    assert answer.json()["feedback"][0]["data_id"] == response.headers[ID]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("plain", "async"),
        ("plain_sync", "sync"),
        ("stream", "abc"),
        ("stream_sync", "abc"),
        ("stream_inside", "in the body"),
        ("stream_inside_sync", "in the body"),
        ("events", "abc"),
        ("several", "three"),
        ("in_json", "async"),
    ],
)
@pytest.mark.parametrize("below", [(), (Middleware(PassOn),), (Middleware(PassOn),) * 2])
def test_a_response_carries_its_generation_and_a_token_that_rates_it(
    make: Any, endpoints: Endpoints, client: Client, name: str, output: str, below: Any
) -> None:
    http = TestClient(make(endpoints, client, *below))
    response = http.post(f"/{name}")
    assert response.status_code == 200
    generation = kept(client, response)
    assert (generation.status, generation.output) == ("ok", output)
    rate(http, response)
    assert [found.value for found in kept(client, response).feedback] == ["good"]
    if name == "in_json":
        assert response.json()["data_id"] == response.headers[ID]
    if name == "events":
        first = response.text.split("\n\n")[0]
        assert first.startswith("event: afterword\ndata: {")
        assert response.headers[ID] in first


def test_the_same_through_httpx_without_a_socket(
    make: Any, endpoints: Endpoints, client: Client
) -> None:
    async def ask() -> None:
        transport = httpx.ASGITransport(make(endpoints, client))
        async with httpx.AsyncClient(transport=transport, base_url="http://site.example") as http:
            for name in ("plain", "plain_sync", "stream", "stream_sync"):
                response = await http.get(f"/{name}")
                assert kept(client, response).status == "ok"
            assert afterword.last_data_id() is None

    anyio.run(ask)


@pytest.mark.parametrize(("name", "status"), [("refused", 418), ("crashed", 500)])
def test_an_error_carries_the_generation_before_it_when_wrapped_outermost(
    make: Any, endpoints: Endpoints, client: Client, name: str, status: int
) -> None:
    app = FeedbackMiddleware(_without_ours(make, endpoints, client), client=client)
    http = TestClient(app, raise_server_exceptions=False)
    response = http.post(f"/{name}")
    assert response.status_code == status
    assert kept(client, response).status == "ok"
    rate(http, response)
    if name == "refused":
        assert response.headers["x-one"] == "1"


def _without_ours(make: Any, endpoints: Endpoints, client: Client) -> Any:
    app = make(endpoints, client)
    app.user_middleware = [
        found for found in app.user_middleware if found.cls is not FeedbackMiddleware
    ]
    return app


def test_an_http_exception_carries_the_generation_before_it_anyway(
    make: Any, endpoints: Endpoints, client: Client
) -> None:
    response = TestClient(make(endpoints, client)).post("/refused")
    assert response.status_code == 418
    assert kept(client, response).output == "too much"


@pytest.mark.parametrize("name", ["nothing", "empty", "in_background"])
def test_a_response_without_a_generation_to_rate_carries_nothing(
    make: Any, endpoints: Endpoints, client: Client, name: str
) -> None:
    response = TestClient(make(endpoints, client)).post(f"/{name}")
    assert ID not in response.headers
    assert TOKEN not in response.headers


def test_pages_that_do_not_exist_carry_nothing(
    make: Any, endpoints: Endpoints, client: Client
) -> None:
    http = TestClient(make(endpoints, client))
    for response in (http.get("/no-such-page"), http.delete("/plain"), http.get("/feedback/x")):
        assert response.status_code in (404, 405)
        assert ID not in response.headers


def test_a_file_carries_nothing(client: Client, tmp_path: Any) -> None:
    (tmp_path / "file.txt").write_text("x" * 100_000)

    async def file(request: Request) -> Response:
        return FileResponse(tmp_path / "file.txt")

    app = FeedbackMiddleware(Starlette(routes=[Route("/", file)]), client=client)
    response = TestClient(app).get("/")
    assert len(response.text) == 100_000
    assert ID not in response.headers


def test_a_base_middleware_above_changes_nothing(
    make: Any, endpoints: Endpoints, client: Client
) -> None:
    class Above(PassOn):
        pass

    http = TestClient(Above(make(endpoints, client)))
    for name in ("plain", "plain_sync", "stream", "events"):
        response = http.get(f"/{name}")
        assert response.headers["x-passed"] == "1"
        assert kept(client, response).status == "ok"


@pytest.mark.parametrize("outside", [True, False])
def test_compression_inside_and_outside_keeps_the_headers(
    make: Any, endpoints: Endpoints, client: Client, outside: bool
) -> None:
    if outside:
        app: ASGIApp = GZipMiddleware(make(endpoints, client), minimum_size=1)
    else:
        app = make(endpoints, client, Middleware(GZipMiddleware, minimum_size=1))
    http = TestClient(app)
    for name, output in (("plain", "async"), ("stream", "abc")):
        with http.stream("GET", f"/{name}", headers={"accept-encoding": "gzip"}) as response:
            raw = b"".join(response.iter_raw())
        assert response.headers["content-encoding"] == "gzip"
        assert output.encode() in gzip.decompress(raw)
        assert kept(client, response).output == output


CORS: dict[str, Any] = {"allow_origins": ["https://app.example.com"], "expose_headers": ["x-mine"]}


@pytest.mark.parametrize("outside", [True, False])
def test_a_page_of_another_origin_may_read_both_headers(
    make: Any, endpoints: Endpoints, client: Client, outside: bool
) -> None:
    if outside:
        options = {**CORS, "expose_headers": []}
        app: ASGIApp = CORSMiddleware(make(endpoints, client), **options)
    else:
        app = make(endpoints, client, Middleware(CORSMiddleware, **CORS))
    http = TestClient(app)
    for name in ("plain", "stream"):
        response = http.get(f"/{name}", headers={"origin": "https://app.example.com"})
        assert response.headers["access-control-allow-origin"] == "https://app.example.com"
        exposed = response.headers["access-control-expose-headers"].lower().split(", ")
        assert {ID, TOKEN} <= set(exposed)
        assert ("x-mine" in exposed) is not outside
    assert TOKEN not in http.options("/plain").headers


def test_a_session_names_the_user_wherever_its_middleware_stands(
    make: Any, endpoints: Endpoints, client: Client
) -> None:
    async def login(request: Request) -> Response:
        request.session["user"] = "ada"
        return await endpoints["plain"]()  # type: ignore[no-any-return]

    sessions = Middleware(SessionMiddleware, secret_key="x")
    app: Any = make(endpoints, client, sessions, user=lambda scope: scope["session"].get("user"))
    app.router.routes.insert(0, Route("/login", login, methods=["POST"]))
    http = TestClient(app)
    for path in ("/login", "/plain"):
        response = http.post(path)
        assert kept(client, response).user == "ada"
        rate(http, response)
        assert kept(client, response).feedback[0].user == "ada"


def test_an_anonymous_subject_is_stable_for_a_session_the_app_supplies(
    make: Any, endpoints: Endpoints, client: Client
) -> None:
    app = make(
        endpoints, client, session=lambda scope: dict(scope["headers"]).get(b"x-s", b"").decode()
    )
    http = TestClient(app)
    subjects: list[Any] = []
    for session in ("one", "one", "two", "", ""):
        response = http.post("/plain", headers={"x-s": session} if session else {})
        rate(http, response)
        subjects.append(kept(client, response).feedback[0].subject)
        assert kept(client, response).session == (session or None)
    assert subjects[0] == subjects[1]
    assert len(set(subjects)) == 4


def test_a_dependency_of_fastapi_may_make_the_generation(client: Client) -> None:
    @afterword.generation(client=client)
    def retrieved() -> str:
        return "documents"

    async def dependency() -> AsyncIterator[str]:
        yield retrieved()

    app = FastAPI()

    @app.get("/")
    def root(documents: str = Depends(dependency)) -> str:
        return documents

    app.add_middleware(FeedbackMiddleware, client=client)
    assert kept(client, TestClient(app).get("/")).output == "documents"


def test_a_generation_of_another_project_is_rated_there(client: Client) -> None:
    @afterword.generation(client=client, project="summaries")
    def summary() -> str:
        return "short"

    @afterword.generation(client=client, project="titles")
    async def words() -> AsyncIterator[str]:
        yield "a title"

    async def stream(request: Request) -> Response:
        return StreamingResponse(words())

    async def inside(request: Request) -> Response:
        async def body() -> AsyncIterator[str]:
            async for word in words():
                yield word

        return StreamingResponse(body())

    routes: list[BaseRoute] = [
        Route("/plain", lambda request: JSONResponse(summary())),
        Route("/stream", stream),
        Route("/inside", inside),
        Mount("/feedback", routes=feedback_routes(client=client)),
    ]
    http = TestClient(FeedbackMiddleware(Starlette(routes=routes), client=client))
    for path, project in (("/plain", "summaries"), ("/stream", "titles"), ("/inside", "titles")):
        response = http.get(path)
        rate(http, response)
        found = kept(client, response)
        assert (found.project, [said.project for said in found.feedback]) == (project, [project])
        mine = http.post("/feedback/mine", json={"tokens": [response.headers[TOKEN]]}).json()
        assert mine == {found.id: {"rating": "good"}}


def test_a_mounted_app_with_a_middleware_of_its_own_announces_once(client: Client) -> None:
    @afterword.generation(client=client)
    def answer() -> str:
        return "x"

    inner = FeedbackMiddleware(
        Starlette(routes=[Route("/", lambda request: JSONResponse(answer()))]), client=client
    )
    app = FeedbackMiddleware(Starlette(routes=[Mount("/inner", inner)]), client=client)
    response = TestClient(app).get("/inner/")
    assert len(response.headers.get_list(ID)) == len(response.headers.get_list(TOKEN)) == 1
    assert kept(client, response).output == "x"


def test_two_apps_in_one_process_keep_to_their_own_client(client: Client) -> None:
    other = Client("memory:", project="other", secret="k9:fedcba9876543210fedcba9876543210")

    def app(mine: Client) -> TestClient:
        @afterword.generation(client=mine)
        def answer() -> str:
            return mine.project

        routes: list[BaseRoute] = [
            Route("/", lambda request: JSONResponse(answer())),
            Mount("/feedback", routes=feedback_routes(client=mine)),
        ]
        return TestClient(FeedbackMiddleware(Starlette(routes=routes), client=mine))

    one, two = app(client), app(other)
    response = one.get("/")
    assert other.get(response.headers[ID]) is None
    body = {"token": response.headers[TOKEN], "type": "rating", "value": "good"}
    assert two.post("/feedback/", json=body).status_code == 403
    assert one.post("/feedback/", json=body).status_code == 202
    other.close()


def test_lifespan_runs_and_its_state_arrives(
    make: Any, endpoints: Endpoints, client: Client
) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        events.append("up")
        yield {"word": "state"}
        events.append("down")

    async def state(request: Request) -> Response:
        return JSONResponse(request.state.word)

    app = FeedbackMiddleware(
        Starlette(routes=[Route("/", state)], lifespan=lifespan), client=client
    )
    with TestClient(app) as http:
        assert http.get("/").json() == "state"
        assert events == ["up"]
    assert events == ["up", "down"]
    assert TestClient(make(endpoints, client)).get("/plain").status_code == 200  # without one


def test_each_message_of_a_websocket_has_a_trail_of_its_own(client: Client) -> None:
    @afterword.generation(client=client)
    async def words(question: str) -> AsyncIterator[str]:
        for word in ("you", "said", question):
            yield word

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        async for question in socket.iter_text():
            async with afterword.trail(user="ada", session="s1"):
                await socket.send_json(handle())
                async for word in words(question):
                    await socket.send_text(word)
        await socket.close(4001)

    routes: list[BaseRoute] = [
        WebSocketRoute("/chat", chat),
        Mount("/feedback", routes=feedback_routes(client=client)),
    ]
    app = FeedbackMiddleware(Starlette(routes=routes), client=client, user=lambda scope: "ada")
    http = TestClient(app)
    seen: set[str] = set()
    with http.websocket_connect("/chat") as socket:
        for question in ("one", "two"):
            socket.send_text(question)
            given = socket.receive_json()
            assert [socket.receive_text() for _ in range(3)] == ["you", "said", question]
            body = {"token": given["token"], "type": "rating", "value": "good"}
            assert http.post("/feedback/", json=body).status_code == 202
            found = client.get(given["data_id"])
            assert found is not None
            assert (found.output, found.user, found.session) == (f"yousaid{question}", "ada", "s1")
            assert [(said.value, said.user) for said in found.feedback] == [("good", "ada")]
            seen.add(found.id)
    assert len(seen) == 2
