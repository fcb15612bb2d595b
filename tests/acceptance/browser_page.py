"""A chat page for the browser tests: Chromium, and a small server with a strict policy.

The server gives the wire replies of the feedback routes and records what comes. It stands in for
them because the tests need answers that those do not give on demand: refusals, silence, 503.
"""

import base64
import json
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from typing import Any

import anyio
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterword.asgi.browser import module_source

FOLDER = Path(__file__).parent / "browser"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'"
)
WAIT_S = 15
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def token(*data_ids: str) -> str:
    payload = json.dumps({"data_ids": data_ids}).encode()
    return f"aw1.k1.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.bWFj"


def data_ids(named: str) -> list[str]:
    payload = named.split(".")[2]
    ids: list[str] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[
        "data_ids"
    ]
    return ids


@dataclass(frozen=True)
class Post:
    """One request of the browser: its path, its content type and its JSON."""

    path: str
    content_type: str
    body: dict[str, Any]

    @property
    def entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.body.get("feedback") or [self.body]
        return entries


@dataclass
class FeedbackServer:
    """The running server; the browser's requests in `posts`, newest last."""

    url: str = ""
    elements: str = ""
    posts: list[Post] = field(default_factory=list)
    answers: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    refuses: Callable[[dict[str, Any]], bool] = lambda entry: False
    released: threading.Event = field(default_factory=threading.Event)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def feedback(self) -> list[Post]:
        return [post for post in self.posts if post.path == "/feedback/"]

    @property
    def mine(self) -> list[Post]:
        return [post for post in self.posts if post.path == "/feedback/mine"]

    def wait(self, count: int) -> Post:
        """The `count`-th post of feedback, once it has come."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.feedback) >= count, WAIT_S)
        assert came, f"{len(self.feedback)} posts of {count} came: {self.feedback}"
        return self.feedback[count - 1]

    def _keep(self, post: Post) -> None:
        with self._changed:
            self.posts.append(post)
            self._changed.notify_all()

    async def page(self, request: Request) -> Response:
        html = (FOLDER / "page.html").read_text()
        return HTMLResponse(html.replace("<!-- elements -->", self.elements))

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return Response((FOLDER / name).read_text(), media_type=kind)

    async def module(self, request: Request) -> Response:
        return Response(module_source(), media_type="text/javascript")

    async def answer_feedback(self, request: Request) -> Response:
        body = json.loads(await request.body())
        post = Post("/feedback/", request.headers["content-type"], body)
        self._keep(post)
        await anyio.to_thread.run_sync(self.released.wait, WAIT_S, abandon_on_cancel=True)
        status, headers = self.answers.popleft() if self.answers else (202, {})
        if any(self.refuses(entry) for entry in post.entries):
            status = 422
        if status != 202:
            return JSONResponse({"detail": "as the test asked"}, status, headers)
        default = data_ids(body["token"])[0]
        rows: list[dict[str, Any]] = []
        for entry in post.entries:
            data_id = entry.get("data_id") or default
            self._apply(self.said.setdefault(data_id, {}), entry)
            rows.append({"id": f"f{len(rows)}", "data_id": data_id, **_pick(entry)})
        return JSONResponse({"feedback": rows}, 202)

    def _apply(self, state: dict[str, Any], entry: dict[str, Any]) -> None:
        kind, value = entry["type"], entry["value"]
        if value is None:
            state.pop(kind, None)
        elif kind in ("issue", "action"):
            labels = [label for label in state.get(kind, []) if label != value]
            state[kind] = labels if entry.get("unset") else [*labels, value]
        else:
            state[kind] = value

    async def answer_mine(self, request: Request) -> Response:
        body = await request.json()
        self._keep(Post("/feedback/mine", request.headers["content-type"], body))
        named = [data_id for each in body["tokens"] for data_id in data_ids(each)]
        return JSONResponse({each: self.said.get(each, {}) for each in named})


def _pick(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": entry["type"], "value": entry["value"]}


def _strict(app: ASGIApp) -> ASGIApp:
    async def strict(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message["headers"] = [*message["headers"], policy]
            await send(message)

        await app(scope, receive, with_policy)

    return strict


@contextmanager
def serving() -> Iterator[FeedbackServer]:
    """Runs a server on a free loopback port, and ends it."""
    server = FeedbackServer()
    server.released.set()
    app = Starlette(
        routes=[
            Route("/", server.page),
            Route("/favicon.ico", lambda request: Response(status_code=204)),
            Route("/feedback/", server.answer_feedback, methods=["POST"]),
            Route("/feedback/mine", server.answer_mine, methods=["POST"]),
            Route("/feedback/afterword.js", server.module),
            Route("/{name}", server.asset),
        ]
    )
    with running(app) as server.url:
        try:
            yield server
        finally:
            server.released.set()


@contextmanager
def running(app: ASGIApp, *, strict: bool = True) -> Iterator[str]:
    """Serves an app, under the strict policy or its own, on a free loopback port; gives its URL."""
    listener = create_server(("127.0.0.1", 0))  # open at once: no need to wait for the thread
    app = _strict(app) if strict else app
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        web.should_exit = True
        web.force_exit = True
        thread.join(WAIT_S)
        listener.close()


@contextmanager
def chromium_running() -> Iterator[Browser]:
    """The system's Chromium, without a window; a test without one fails rather than being skipped."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        pytest.fail(f"the browser tests need Chromium on the PATH ({', '.join(CHROMIUM_NAMES)})")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=list(CHROMIUM_ARGUMENTS), timeout=60_000
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page of the browser, with what went wrong in it."""

    page: Page
    server: FeedbackServer
    faults: list[str] = field(default_factory=list)

    def open(self, *elements: str) -> "Tab":
        """Loads the page with these elements, given by their attributes."""
        made = [f"<afterword-feedback {each}></afterword-feedback>" for each in elements]
        self.server.elements = "".join(made) or self.server.elements
        self.page.goto(self.server.url)
        self.page.wait_for_function("() => Boolean(window.said)")
        return self

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def wait_said(self, name: str, count: int = 1) -> dict[str, Any]:
        """The detail of the `count`-th event of that name, once it was dispatched."""
        seek = "([name, count]) => window.said.filter(([each]) => each === name)[count - 1]"
        detail: dict[str, Any] = self.page.wait_for_function(seek, arg=[name, count]).json_value()[
            1
        ]
        return detail

    def queue(self) -> list[dict[str, Any]]:
        kept: list[str] = self.page.evaluate("Object.values({...localStorage})")
        return [json.loads(item) for item in kept]


def new_tab(context: BrowserContext, server: FeedbackServer) -> Tab:
    tab = Tab(context.new_page(), server)

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Trusted" in message.text:
            tab.faults.append(message.text)

    tab.page.on("console", heard)
    tab.page.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.page.set_default_timeout(WAIT_S * 1000)
    return tab
