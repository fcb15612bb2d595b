"""The browser module against the real middleware, tokens and feedback routes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_page import FOLDER, FeedbackServer, chromium_running, new_tab, running
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes, handle


@pytest.fixture
def client(tmp_path: Path) -> Iterator[afterword.Client]:
    client = afterword.Client(f"sqlite:///{tmp_path}/afterword.db", project="chat")
    yield client
    client.close()


@pytest.fixture
def url(client: afterword.Client) -> Iterator[str]:
    elements: list[str] = []

    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return f"Look at {question}"

    async def page(request: Request) -> Response:
        if not elements:  # the page of a chat that was had before shows the same answers again
            for question in ("one", "two"):
                answer(question)
                elements.append(f'<afterword-feedback for="answer" token="{handle()["token"]}">')
        html = (FOLDER / "page.html").read_text()
        return HTMLResponse(
            html.replace("<!-- elements -->", "</afterword-feedback>".join(elements))
        )

    async def asset(request: Request) -> Response:
        return FileResponse(FOLDER / request.path_params["name"])

    app = Starlette(
        routes=[
            Route("/", page),
            Mount("/feedback", routes=feedback_routes(client=client)),
            Route("/favicon.ico", lambda request: Response(status_code=204)),
            Route("/{name}", asset),
        ],
        middleware=[Middleware(FeedbackMiddleware, client=client, user=lambda scope: "ada")],
    )
    with running(app) as url:
        yield url


def test_what_people_say_arrives_and_comes_back_after_a_reload(
    client: afterword.Client, url: str
) -> None:
    with chromium_running() as browser:
        tab = new_tab(browser.new_context(), FeedbackServer(url)).open()
        tab.button("Bad answer").nth(0).click()
        tab.button("Too long").click()
        tab.button("Incorrect").click()
        tab.button("Too long").click()
        tab.page.get_by_role("textbox").fill("Which one?")
        tab.button("Send").click()
        tab.button("Good answer").nth(1).click()
        for _ in range(2):  # off and on again, so that on is not taken for a retry
            tab.wait_said("sent", 6)
            tab.button("Good answer").nth(1).click()
        tab.button("Edit answer").nth(1).click()
        tab.page.get_by_role("textbox").fill("Look at two things.")
        tab.button("Save").click()
        last = tab.wait_said("sent", 9)
        assert (last["type"], last["status"]) == ("correction", 202)
        data_ids = tab.page.evaluate(
            "[...document.querySelectorAll('afterword-feedback')].map(each => each.dataId)"
        )
        tab.open()
        expect(tab.button("Bad answer").nth(0)).to_have_attribute("aria-pressed", "true")
        expect(tab.button("Good answer").nth(1)).to_have_attribute("aria-pressed", "true")
        tab.button("Say what went wrong").click()
        expect(tab.button("Incorrect")).to_have_attribute("aria-pressed", "true")
        expect(tab.button("Too long")).to_have_attribute("aria-pressed", "false")
        assert tab.faults == []
    kept = [_said(client, data_id) for data_id in data_ids]
    assert kept == [
        {("issue", "incorrect", None), ("rating", "bad", "Which one?")},
        {("rating", "good", None), ("correction", "Look at two things.", None)},
    ]


def _said(client: afterword.Client, data_id: str) -> set[tuple[str, object, str | None]]:
    generation = client.get(data_id)
    assert generation is not None
    assert {each.user for each in generation.feedback} == {"ada"}
    return {(each.type, each.value, each.comment) for each in generation.feedback}
