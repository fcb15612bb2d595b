"""A page of one origin, the app and its feedback on another: what a real browser lets through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser_page import chromium_running, running
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, feedback_routes

PAGE = """<!doctype html><title>Chat</title><p id="answer"></p>
<afterword-feedback for="answer" debug></afterword-feedback>
<script type="module">
  const api = new URLSearchParams(location.search).get("api");
  window.errors = [];
  document.addEventListener("afterword:error", (event) => window.errors.push(event.detail.status));
  document.addEventListener("afterword:sent", (event) => (window.sent = event.detail.status));
  const response = await fetch(`${api}chat`, { method: "POST" });
  document.querySelector("#answer").textContent = await response.text();
  window.dataId = response.headers.get("Afterword-Data-Id");
  await import(`${api}feedback/afterword.js`).catch((error) => (window.refused = String(error)));
  document.querySelector("afterword-feedback").token =
    response.headers.get("Afterword-Feedback-Token");
  window.ready = true;
</script>"""


@dataclass
class Sites:
    """Where the page and the app are, and the app's client."""

    page: str
    app: str
    client: Client


@contextmanager
def sites(folder: Path, *, listed: bool) -> Iterator[Sites]:
    client = Client(f"sqlite:///{folder}/afterword.db", project="web")

    @afterword.generation(client=client)
    def answer() -> str:
        return "An answer from elsewhere."

    async def chat(request: Request) -> Response:
        return PlainTextResponse(answer())

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE)

    with running(Starlette(routes=[Route("/", page)]), strict=False) as page_url:
        origin = page_url.rstrip("/").replace("127.0.0.1", "localhost")
        origins = [origin] if listed else []
        # Around the whole app it would answer the questions meant for the feedback routes.
        cors = Middleware(CORSMiddleware, allow_origins=[origin])
        app = Starlette(
            routes=[
                Route("/chat", chat, methods=["POST"], middleware=[cors]),
                Mount("/feedback", routes=feedback_routes(origins=origins, client=client)),
            ],
            middleware=[Middleware(FeedbackMiddleware, client=client)],
        )
        with running(app, strict=False) as app_url:
            yield Sites(f"{origin}/?api={app_url}", app_url, client)
    client.close()


def ratings(client: Client, page: Page) -> list[object]:
    found = client.get(page.evaluate("window.dataId"))
    assert found is not None
    return [feedback.value for feedback in found.feedback]


def test_a_listed_origin_reads_the_headers_loads_the_module_and_rates(tmp_path: Path) -> None:
    with sites(tmp_path, listed=True) as where, chromium_running() as browser:
        page = browser.new_page()
        page.goto(where.page)
        good = page.get_by_role("button", name="Good answer")
        good.click()
        expect(good).to_have_attribute("aria-pressed", "true")
        assert page.wait_for_function("() => window.sent").json_value() == 202
        assert ratings(where.client, page) == ["good"]


def test_an_origin_that_is_not_listed_gets_no_module_and_can_rate_nothing(tmp_path: Path) -> None:
    with sites(tmp_path, listed=False) as where, chromium_running() as browser:
        page = browser.new_page()
        page.goto(where.page)
        page.wait_for_function("() => window.ready")
        assert "Failed to fetch" in page.evaluate("window.refused")
        token = page.evaluate("document.querySelector('afterword-feedback').token")
        body = {"token": token, "type": "rating", "value": "good"}
        for kind in ("application/json", "text/plain"):
            tried = page.evaluate(
                """async ([url, body, kind]) => {
                  const options = { method: "POST", body: JSON.stringify(body),
                    headers: { "content-type": kind } };
                  return fetch(url, options).then((r) => r.status, (error) => String(error));
                }""",
                [f"{where.app}feedback/", body, kind],
            )
            assert "Failed to fetch" in tried
        assert ratings(where.client, page) == []


@pytest.mark.parametrize("kilobits_a_second", [50])
def test_a_slow_network_loses_nothing_and_shows_the_thumb_at_once(
    tmp_path: Path, kilobits_a_second: int
) -> None:
    with sites(tmp_path, listed=True) as where, chromium_running() as browser:
        page = browser.new_page()
        page.goto(where.page)
        page.wait_for_function("() => window.ready")
        network = page.context.new_cdp_session(page)
        bytes_a_second = kilobits_a_second * 125
        network.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 400, "downloadThroughput": bytes_a_second,
             "uploadThroughput": bytes_a_second},
        )  # fmt: skip
        bad = page.get_by_role("button", name="Bad answer")
        bad.click()
        expect(bad).to_have_attribute("aria-pressed", "true", timeout=300)
        assert page.wait_for_function("() => window.sent").json_value() == 202
        assert ratings(where.client, page) == ["bad"]
