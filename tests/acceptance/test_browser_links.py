"""The page of a one-tap link in a real browser: seen by anybody, said only by a press."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_page import chromium_running, running
from logs_site import Witness
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes, link


@pytest.fixture
def client(tmp_path: Path) -> Iterator[afterword.Client]:
    client = afterword.Client(f"sqlite:///{tmp_path}/afterword.db", project="mail")
    yield client
    client.close()


@pytest.fixture
def url(client: afterword.Client) -> Iterator[str]:
    async def inbox(request: Request) -> Response:
        """A page that loads a link in every way that needs no press, then shows it."""
        where = request.query_params["link"]
        return HTMLResponse(
            f'<link rel="prefetch" href="{where}"><link rel="preload" as="fetch" href="{where}">'
            f'<img src="{where}"><iframe src="{where}"></iframe><a href="{where}">Good</a>'
        )

    app = Starlette(
        routes=[Route("/inbox", inbox), Mount("/feedback", routes=feedback_routes(client=client))]
    )
    with running(FeedbackMiddleware(app, client=client), strict=False) as url:
        yield url


def said(client: afterword.Client, data_id: str) -> list[object]:
    found = client.get(data_id)
    assert found is not None
    return [feedback.value for feedback in found.feedback_history]


def opened(page: Page, url: str, where: str) -> None:
    page.goto(f"{url}inbox?link={where}")
    page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="Good").click()
    expect(page.get_by_role("heading", name="Your feedback")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_link_records_at_the_press_of_its_button_and_not_before(
    client: afterword.Client, url: str, javascript: bool
) -> None:
    data_id = client.log(output="An answer.")
    where = link(data_id, "rating", "good", client=client, base_url=f"{url}feedback")
    with chromium_running() as browser:
        page = browser.new_context(java_script_enabled=javascript).new_page()
        opened(page, url, where)
        assert said(client, data_id) == []
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Send")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        assert said(client, data_id) == ["good"]
        page.reload()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert said(client, data_id) == ["good"]


def test_hostile_text_of_a_link_runs_nothing_and_the_page_breaks_no_rule_of_its_own(
    client: afterword.Client, url: str
) -> None:
    hostile = "</bdi><script>alert(1)</script><img src=x onerror=alert(1)>\u202e"
    data_id = client.log(output="An answer.")
    where = link(data_id, "comment", hostile, client=client, base_url=f"{url}feedback")
    with chromium_running() as browser:
        page = browser.new_context().new_page()
        witness = Witness()
        witness.watch(page)
        page.goto(where)
        expect(page.get_by_text("<script>alert(1)</script>")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.body).display") == "grid"
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        expect(page.get_by_text("<script>alert(1)</script>")).to_be_visible()
        witness.console = [line for line in witness.console if "favicon" not in line]
        witness.console = [line for line in witness.console if "404" not in line]
        witness.assert_nothing_but(url)
    assert said(client, data_id) == [hostile]
