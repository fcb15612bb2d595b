"""The guide to capturing user feedback, followed word for word on the demo's model.

Once in one process and once through HTTP: log a generation, take its data ID, give feedback, then
read all of it back and see it on the Logs page.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import httpx
import openai
import pytest
import uvicorn
from browser_page import chromium_running
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

import afterword
import afterword.client
from afterword.asgi import FeedbackMiddleware, feedback_routes
from afterword.server import create_app
from afterword.server.local_model import MODEL_NAME, LocalModel

QUESTION = "How should I think about competition for my startup?"
CORRECTION = "Know what your customers use today, and why they would leave it for you."
USER = "user_123456"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[afterword.Client]:
    """The default client, as `configure` makes it, for this test alone."""
    monkeypatch.setattr("afterword.default._default", None)
    made = afterword.configure(f"sqlite:///{tmp_path / 'guide.db'}", project="guide")
    yield made
    made.close()


@pytest.fixture
def provider(local_model: LocalModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=local_model.base_url, api_key=local_model.api_key) as made:
        yield made


def answer_with(provider: openai.OpenAI, question: str) -> str:
    completion = provider.chat.completions.create(
        model=MODEL_NAME, messages=[{"role": "user", "content": question}], max_tokens=40
    )
    text = completion.choices[0].message.content
    assert text
    return text


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The app on a free loopback port; gives its URL."""
    listener = create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    # The socket listens already, so a request that comes before the server waits for it.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@contextmanager
def a_page() -> Iterator[Page]:
    with chromium_running() as browser:
        yield browser.new_page()


def check_read_back(client: afterword.Client, data_id: str, answer: str) -> None:
    generation = client.get(data_id)
    assert generation is not None
    assert generation.inputs == {"question": QUESTION}
    assert generation.output == answer
    assert (generation.project, generation.status) == ("guide", "ok")
    assert [found.id for found in client.generations(feedback={"rating": "bad"}).items] == [data_id]


def check_logs_page(url: str, data_id: str, answer: str) -> None:
    with a_page() as page:
        page.goto(url)
        page.get_by_role("link").filter(has_text=QUESTION).first.click()
        main = page.get_by_role("main")
        expect(main).to_contain_text(data_id)
        expect(main).to_contain_text(answer.split("\n")[0])
        expect(main).to_contain_text("rating bad")
        expect(main).to_contain_text("rating good")
        expect(main).to_contain_text(USER)
        expect(main).to_contain_text(CORRECTION)


def test_the_guide_in_one_process(client: afterword.Client, provider: openai.OpenAI) -> None:
    @afterword.generation
    def answer(question: str) -> str:
        return answer_with(provider, question)

    with afterword.trail():
        reply = answer(question=QUESTION)
        data_id = afterword.last_data_id()
    assert data_id is not None

    afterword.feedback(data_id=data_id, type="rating", value="good")
    afterword.feedback(data_id=data_id, type="rating", value="good", user=USER)
    afterword.feedback(
        [
            {"data_id": data_id, "type": "rating", "value": "bad"},
            {"data_id": data_id, "type": "correction", "value": CORRECTION},
        ]
    )

    check_read_back(client, data_id, reply)
    generation = afterword.get(data_id)
    assert generation is not None
    assert {(found.type, found.value, found.user) for found in generation.feedback} == {
        ("rating", "bad", None),
        ("rating", "good", USER),
        ("correction", CORRECTION, None),
    }
    assert [found.value for found in generation.feedback_history] == [
        "good",
        "good",
        "bad",
        CORRECTION,
    ]
    with serving(create_app(client)) as url:
        check_logs_page(url, data_id, reply)


def test_the_guide_through_http(client: afterword.Client, provider: openai.OpenAI) -> None:
    @afterword.generation
    def answer(question: str) -> str:
        return answer_with(provider, question)

    def chat(request: Request) -> JSONResponse:
        return JSONResponse({"answer": answer(question=QUESTION)})

    app = FeedbackMiddleware(
        Starlette(
            routes=[
                Route("/chat", chat, methods=["POST"]),
                Mount("/feedback", routes=feedback_routes()),
                Mount("/logs", create_app()),
            ]
        ),
        user=lambda scope: dict(scope["headers"]).get(b"x-user", b"").decode() or None,
    )
    signed_in = {"x-user": USER}
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as browser:
        reply = browser.post("/chat", headers=signed_in)
        data_id = reply.headers["Afterword-Data-Id"]
        token = reply.headers["Afterword-Feedback-Token"]

        good = {"token": token, "type": "rating", "value": "good"}
        assert browser.post("/feedback/", json=good).status_code == 202
        assert browser.post("/feedback/", json=good, headers=signed_in).status_code == 202
        rest = [{"type": "rating", "value": "bad"}, {"type": "correction", "value": CORRECTION}]
        listed = browser.post("/feedback/", json={"token": token, "feedback": rest})
        assert [entry["value"] for entry in listed.json()["feedback"]] == ["bad", CORRECTION]

        said = browser.post("/feedback/mine", json={"tokens": [token]}).json()
        assert said == {data_id: {"rating": "bad", "correction": CORRECTION}}

        text = reply.json()["answer"]
        check_read_back(client, data_id, text)
        generation = client.get(data_id)
        assert generation is not None
        assert generation.user == USER
        history = [(found.value, found.user) for found in generation.feedback_history]
        # The token says who rates, so what follows the signed-in rating is known to be theirs.
        assert history == [("good", None), ("good", USER), ("bad", USER), (CORRECTION, USER)]
        current = {(found.type, found.value, found.user) for found in generation.feedback}
        assert {("rating", "bad", USER), ("correction", CORRECTION, USER)} <= current
        check_logs_page(f"{url}/logs/", data_id, text)
