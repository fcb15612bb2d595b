"""A React page, built by Vite from the npm registry: the element among components that come and go.

A long test: it gets React and Vite over npm, and builds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_page import chromium_running, running
from npm_packages import npm
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, feedback_routes
from afterword.asgi.browser import module_source

PAGE = '<!doctype html><html lang="en"><title>Chat</title><div id="root"></div>'
SCRIPT = '<script type="module" src="/main.js"></script></html>'
MAIN = """
import { createElement as h, StrictMode, useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { track } from "./afterword.js";

function Answer({ text, token, hide }) {
  const element = useRef(null);
  const [said, setSaid] = useState("nothing");
  useEffect(() => {
    const heard = (event) => setSaid(String(event.detail.value));
    const node = element.current;
    node.addEventListener("afterword:feedback", heard);
    return () => node.removeEventListener("afterword:feedback", heard);
  }, []);
  return h("section", null,
    h("p", { id: `text-${token.slice(-8)}` }, text),
    h("afterword-feedback",
      { ref: element, token, for: `text-${token.slice(-8)}`, endpoint: "/feedback/" }),
    h("output", null, `said: ${said}`),
    h("button", { onClick: () => track(token, "action", "saved", { endpoint: "/feedback/" }) },
      "Save"),
    h("button", { onClick: hide }, "Hide"));
}

function Chat() {
  const [answers, setAnswers] = useState([]);
  const [hidden, setHidden] = useState(false);
  const ask = async () => {
    const response = await fetch("/chat", { method: "POST" });
    const token = response.headers.get("Afterword-Feedback-Token");
    const text = await response.text();
    setAnswers((before) => [...before, { token, text }]);
  };
  const shown = hidden ? [] : answers;
  return h("main", null,
    h("button", { onClick: ask }, "Ask"),
    h("button", { onClick: () => setHidden(false) }, "Show"),
    shown.map((each) => h(Answer, { key: each.token, ...each, hide: () => setHidden(true) })));
}

createRoot(document.querySelector("#root")).render(h(StrictMode, null, h(Chat)));
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("react")
    (folder / "package.json").write_text(json.dumps({"name": "page", "private": True}))
    (folder / "index.html").write_text(PAGE + SCRIPT)
    (folder / "main.js").write_text(MAIN)
    (folder / "afterword.js").write_text(module_source())
    npm("install", "react", "react-dom", "vite", cwd=folder)
    npm("exec", "--", "vite", "build", cwd=folder)
    return folder / "dist"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    client = Client(f"sqlite:///{tmp_path}/afterword.db", project="web")
    yield client
    client.close()


@pytest.fixture
def url(built: Path, client: Client) -> Iterator[str]:
    @afterword.generation(client=client)
    def answer() -> str:
        return "An answer."

    async def chat(request: Request) -> Response:
        return PlainTextResponse(answer())

    app = Starlette(
        routes=[
            Route("/chat", chat, methods=["POST"]),
            Mount("/feedback", routes=feedback_routes(client=client)),
            Mount("/", StaticFiles(directory=built, html=True)),
        ]
    )
    with running(FeedbackMiddleware(app, client=client), strict=False) as url:
        yield url


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_element_works_in_react_bundled_shown_hidden_and_shown_again(
    url: str, client: Client
) -> None:
    with chromium_running() as browser:
        page = browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url)
        page.get_by_role("button", name="Ask").click()
        good = page.get_by_role("button", name="Good answer")
        with page.expect_response(lambda response: response.url == f"{url}feedback/"):
            good.click()
        expect(page.get_by_text("said: good")).to_be_visible()
        with page.expect_response(lambda response: response.url == f"{url}feedback/"):
            page.get_by_role("button", name="Save").click()
        page.get_by_role("button", name="Hide").click()
        expect(good).to_have_count(0)
        page.get_by_role("button", name="Show").click()
        expect(good).to_have_attribute("aria-pressed", "true")
        assert faults == []
    (generation,) = client.generations().items
    said = {(each.type, each.value) for each in generation.feedback}
    assert said == {("rating", "good"), ("action", "saved")}
    assert len(generation.feedback_history) == 2
