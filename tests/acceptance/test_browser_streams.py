"""Answers that arrive by a fetch stream, by server-sent events and by a websocket, and are rated."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from browser_page import FOLDER, FeedbackServer, chromium_running, new_tab, running
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes, handle, sse_event

#: Each asks in its own way, shows the answer and gives the token and the data ID to the element.
ASKING = {
    "fetch": """async (show) => {
        const response = await fetch("/stream");
        const token = response.headers.get("Afterword-Feedback-Token");
        const id = response.headers.get("Afterword-Data-Id");
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ""; ; ) {
            const { done, value } = await reader.read();
            if (done) break;
            show((text += value), token, id);
        }
    }""",
    "events": """(show) => new Promise((resolve) => {
        const source = new EventSource("/events");
        let named, text = "";
        source.addEventListener("afterword", (event) => (named = JSON.parse(event.data)));
        source.addEventListener("end", () => { source.close(); resolve(); });
        source.addEventListener("message", (event) => {
            show((text += event.data), named.token, named.data_id);
        });
    })""",
    "socket": """(show) => new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/socket`);
        let named, text = "";
        socket.addEventListener("open", () => socket.send("why"));
        socket.addEventListener("close", resolve);
        socket.addEventListener("message", (event) => {
            const message = JSON.parse(event.data);
            if (message.token) named = message;
            else show((text += message.text), named.token, named.data_id);
        });
    })""",
}
SHOW = """(text, token, id) => {
    document.getElementById("answer").textContent = text;
    const element = document.querySelector("afterword-feedback");
    Object.assign(element, { token, dataId: id });
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def client(tmp_path: Path) -> Iterator[afterword.Client]:
    client = afterword.Client(f"sqlite:///{tmp_path}/afterword.db", project="chat")
    yield client
    client.close()


@pytest.fixture
def url(client: afterword.Client) -> Iterator[str]:
    @afterword.generation(client=client)
    async def words() -> AsyncIterator[str]:
        for word in ("one ", "two ", "three"):
            yield word

    async def stream(request: Request) -> Response:
        return StreamingResponse(words(), media_type="text/plain")

    async def events(request: Request) -> Response:
        async def frames() -> AsyncIterator[str]:
            yield sse_event()
            async for word in words():
                yield f"data: {word}\n\n"
            yield "event: end\ndata: -\n\n"

        return StreamingResponse(frames(), media_type="text/event-stream")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        async with afterword.trail():
            await websocket.send_json(handle())
            async for word in words():
                await websocket.send_json({"text": word})
        await websocket.close()

    async def page(request: Request) -> Response:
        element = '<afterword-feedback for="answer"></afterword-feedback>'
        html = (FOLDER / "page.html").read_text()
        return HTMLResponse(html.replace("<!-- elements -->", element))

    async def asset(request: Request) -> Response:
        return FileResponse(FOLDER / request.path_params["name"])

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/stream", stream),
            Route("/events", events),
            WebSocketRoute("/socket", socket),
            Mount("/feedback", routes=feedback_routes(client=client)),
            Route("/favicon.ico", lambda request: Response(status_code=204)),
            Route("/{name}", asset),
        ],
        middleware=[Middleware(FeedbackMiddleware, client=client)],
    )
    with running(app) as url:
        yield url


@pytest.mark.parametrize("way", ASKING)
def test_an_answer_that_arrives_in_pieces_can_be_rated(
    way: str, chromium: Browser, client: afterword.Client, url: str
) -> None:
    context = chromium.new_context()
    tab = new_tab(context, FeedbackServer(url)).open()
    expect(tab.button("Good answer")).to_be_disabled()
    tab.page.evaluate(f"({ASKING[way]})({SHOW})")
    expect(tab.page.locator("#answer")).to_have_text("one two three")
    tab.button("Good answer").click()
    assert tab.wait_said("sent")["status"] == 202
    tab.button("Edit answer").click()
    tab.page.get_by_role("textbox").fill("one two four")
    tab.button("Save").click()
    tab.wait_said("sent", 2)
    assert tab.faults == []
    context.close()
    assert client.flush(10)
    (generation,) = client.generations().items
    assert generation.output == "one two three"
    said = {found.type: found.value for found in generation.feedback}
    assert said == {"rating": "good", "correction": "one two four"}
