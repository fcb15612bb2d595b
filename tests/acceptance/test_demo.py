"""The demo as people use it: the real server, the real model and, for the story, a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from browser_page import chromium_running
from demo_process import Demo
from playwright.sync_api import Browser, Locator, Page, Response, expect

from afterword import Client, Generation
from afterword.server.local_model import MODEL_NAME

QUESTION = "How should I think about competition for my startup?"
LONG_STORY = "Write a story in ten long chapters about a fox, a bear and a river."
BETTER = "Ask what your customers use today, and why they would change."
ANSWER_MS = 60_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert faults == []


@dataclass
class Records:
    """What the demo has stored, read from this process."""

    demo: Demo
    client: Client

    def finished(self, data_id: str) -> Generation:
        """The generation, once it has ended."""
        while True:
            # The Logs show what the demo's process has captured so far, so it is stored by then.
            httpx.get(f"{self.demo.url}/afterword/generations/{data_id}").raise_for_status()
            generation = found(self.client, data_id)
            if generation.status != "running":
                return generation


@pytest.fixture
def records(demo: Demo) -> Iterator[Records]:
    client = Client(demo.database)
    yield Records(demo, client)
    client.close()


def found(client: Client, data_id: str) -> Generation:
    generation = client.get(data_id)
    assert generation is not None
    return generation


def ask(page: Page, question: str) -> Locator:
    """Asks and waits for the whole answer; gives its turn on the page."""
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    turn = page.get_by_role("list", name="Conversation").get_by_role("listitem").last
    expect(turn.locator("afterword-feedback")).to_be_visible(timeout=ANSWER_MS)
    return turn


def saving(page: Page) -> Any:
    """Waits, as a context, until the page's feedback was acknowledged."""

    def is_feedback(response: Response) -> bool:
        return response.url.endswith("/feedback/") and response.status == 202

    return page.expect_response(is_feedback)


def pressed(turn: Locator, name: str) -> Any:
    return expect(turn.get_by_role("button", name=name, exact=True, pressed=True))


def frames(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The (event, data) pairs of a text/event-stream body."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found


def test_an_answer_is_rated_reloaded_corrected_and_found_in_the_logs(
    demo: Demo, records: Records, page: Page
) -> None:
    page.goto(demo.url)
    turn = ask(page, QUESTION)
    answer = turn.locator("p.text").inner_text()
    data_id = turn.locator("a.data-id").inner_text()

    with saving(page):
        turn.get_by_role("button", name="Good answer", exact=True).click()
    page.reload()
    pressed(turn, "Good answer").to_be_visible()
    assert turn.locator("p.text").inner_text() == answer

    with saving(page):
        turn.get_by_role("button", name="Bad answer", exact=True).click()
    pressed(turn, "Bad answer").to_be_visible()
    pressed(turn, "Good answer").to_have_count(0)

    turn.get_by_role("button", name="Edit answer", exact=True).click()
    turn.get_by_role("textbox", name="A better answer").fill(BETTER)
    with saving(page):
        turn.get_by_role("button", name="Save", exact=True).click()

    turn.locator("a.data-id").click()
    main = page.get_by_role("main")
    expect(main).to_contain_text(data_id)
    expect(main).to_contain_text(QUESTION)
    expect(main).to_contain_text(answer.split("\n")[0])
    expect(main).to_contain_text("rating bad")
    expect(main).to_contain_text(BETTER)
    page.goto(f"{demo.url}/afterword/")
    expect(page.get_by_role("main")).to_contain_text(QUESTION)

    generation = records.finished(data_id)
    assert {given.type: given.value for given in generation.feedback}["rating"] == "bad"
    assert [
        (given.type, given.value)
        for given in generation.feedback_history
        if given.signal != "implicit"
    ] == [
        ("rating", "good"),
        ("rating", "bad"),
        ("correction", BETTER),
    ]


#: Pairs of elements that lie over one another, and what sticks out of the page's column.
CROWDED = """() => {
    const box = (node) => node.getBoundingClientRect();
    const [head, last] = [document.querySelector("h1"), document.querySelector(".turn:last-child")];
    const feedback = last.querySelector("afterword-feedback");
    const link = box(last.querySelector(".data-id"));
    const found = [];
    for (const node of feedback.shadowRoot.querySelectorAll("[part=buttons] > :not([hidden])")) {
        const { left, right, top, bottom } = box(node);
        if (left < link.right && link.left < right && top < link.bottom && link.top < bottom)
            found.push(`${node.part} and the data ID`);
    }
    if (box(head).height > 40) found.push("the head in two lines");
    const column = box(last);
    for (const panel of feedback.shadowRoot.querySelectorAll("[part~=panel]:not([hidden])"))
        if (box(panel).left < column.left - 1 || box(panel).right > column.right + 1)
            found.push("a panel out of its column");
    if (document.documentElement.scrollWidth > innerWidth) found.push("the page");
    return found;
}"""


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("width", [1100, 320])
def test_nothing_lies_over_anything_else_on_any_width_and_in_both_directions(
    demo: Demo, page: Page, width: int, direction: str
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(demo.url)
    page.evaluate("(direction) => { document.documentElement.dir = direction }", direction)
    turn = ask(page, "Say hello.")
    assert page.evaluate(CROWDED) == []
    turn.get_by_role("button", name="Bad answer", exact=True).click()
    expect(turn.get_by_role("group", name="What went wrong?")).to_be_visible()
    assert page.evaluate(CROWDED) == []
    turn.get_by_role("button", name="Edit answer", exact=True).click()
    expect(turn.get_by_role("textbox", name="A better answer")).to_be_visible()
    assert page.evaluate(CROWDED) == []


def test_a_second_question_carries_the_first_one_and_a_new_chat_forgets_both(
    demo: Demo, records: Records, page: Page
) -> None:
    page.goto(demo.url)
    page.get_by_role("button", name="Write two sentences that welcome a new customer.").click()
    first = page.get_by_role("list", name="Conversation").get_by_role("listitem").first
    expect(first.locator("afterword-feedback")).to_be_visible(timeout=ANSWER_MS)
    second = ask(page, "Say it in five words.")

    messages = records.finished(second.locator("a.data-id").inner_text()).messages
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == first.locator("p.text").text_content()

    page.get_by_role("button", name="New chat").click()
    page.reload()
    expect(page.get_by_role("heading", name="Ask something")).to_be_visible()
    expect(page.locator("afterword-feedback")).to_have_count(0)


def test_stop_keeps_the_part_that_came_and_the_log_says_abandoned(
    demo: Demo, records: Records, page: Page
) -> None:
    page.goto(demo.url)
    page.get_by_label("Your question").fill(LONG_STORY)
    page.keyboard.press("Enter")
    text = page.locator("p.text")
    expect(text).to_have_text(re.compile(".{20}", re.DOTALL))
    page.get_by_role("button", name="Stop", exact=True).click()

    expect(page.locator("#status")).to_have_text("Stopped")
    expect(page.locator("afterword-feedback")).to_be_visible()
    data_id = page.locator("a.data-id").inner_text()
    assert records.finished(data_id).status == "abandoned"


def test_a_failing_model_is_told_on_the_page_and_logged_as_an_error(
    demo: Demo, records: Records, page: Page
) -> None:
    page.goto(demo.url)
    # More tokens than the model's context holds, in fewer characters than a message may have.
    page.get_by_label("Your question").fill("🦊" * 2000)
    page.keyboard.press("Enter")
    problem = page.locator("[data-problem]")
    expect(problem).to_have_text(
        "This is too long for the model. Ask something shorter, or start a new chat."
    )
    expect(page.locator("afterword-feedback")).to_have_count(0)

    generation = records.finished(page.locator("a.data-id").inner_text())
    assert generation.status == "error"
    assert generation.error is not None
    assert generation.error.type == "openai.BadRequestError"


def test_the_chat_streams_frames_and_announces_its_generation(demo: Demo, records: Records) -> None:
    reply = httpx.post(f"{demo.url}/chat", json={"message": QUESTION}, timeout=60)
    data_id = reply.headers["Afterword-Data-Id"]
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/event-stream")

    *deltas, (last, done) = frames(reply.text)
    assert {event for event, _ in deltas} == {"message"}
    assert len(deltas) > 3
    assert (last, done) == ("done", {"data_id": data_id})

    generation = records.finished(data_id)
    assert generation.output == "".join(data["delta"] for _, data in deltas)
    assert generation.inputs == {"question": QUESTION}
    assert (generation.name, generation.model, generation.status) == ("chat", MODEL_NAME, "ok")
    assert generation.usage.input_tokens > 10
    assert generation.usage.output_tokens >= len(deltas)
    assert generation.first_token_ms is not None
    assert generation.duration_ms is not None
    assert 0 < generation.first_token_ms < generation.duration_ms


@pytest.mark.parametrize("path", ["/feedback", "/feedback/"])
def test_feedback_by_hand_needs_only_the_token(demo: Demo, records: Records, path: str) -> None:
    reply = httpx.post(f"{demo.url}/chat", json={"message": "Hello"}, timeout=60)
    token = reply.headers["Afterword-Feedback-Token"]
    given = httpx.post(
        f"{demo.url}{path}", json={"token": token, "type": "rating", "value": "good"}
    )
    assert given.status_code == 202
    (rating,) = records.finished(reply.headers["Afterword-Data-Id"]).feedback
    assert (rating.type, rating.value, rating.source) == ("rating", "good", "end_user")

    cut = httpx.post(
        f"{demo.url}{path}", json={"token": token[:-1], "type": "rating", "value": "bad"}
    )
    assert cut.status_code == 403


TOO_LONG = json.dumps({"message": "a" * 4001})
TOO_LARGE = json.dumps({"message": "a" * 70_000})


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ("", 400, "The body is empty"),
        ("message=hello", 400, "The body is not JSON"),
        ('{"message": "a\\ud800"}', 400, "The body is not JSON"),
        ("[" * 5000, 400, "The body is not JSON"),
        ('["hello"]', 422, "The body must be an object"),
        ("{}", 422, "message is missing"),
        ('{"message": 7}', 422, "message must be a string"),
        ('{"message": " \\n"}', 422, "message is empty"),
        (TOO_LONG, 422, "message is longer than 4000 characters"),
        (TOO_LARGE, 413, "The body is larger than 64 kB"),
        ('{"message": "a", "history": {}}', 422, "history must be a list"),
        ('{"message": "a", "history": ["b"]}', 422, "every turn of history"),
        ('{"message": "a", "history": [{"role": "system", "content": "b"}]}', 422, "every turn"),
    ],
)
def test_a_wrong_question_gets_a_plain_4xx_and_logs_nothing(
    demo: Demo, records: Records, body: str, status: int, detail: str
) -> None:
    before = records.client.generations(limit=1).items
    reply = httpx.post(f"{demo.url}/chat", content=body)
    assert reply.status_code == status
    assert reply.json()["detail"].startswith(detail)
    assert "Afterword-Data-Id" not in reply.headers
    assert records.client.generations(limit=1).items == before


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/chat", 405), ("PUT", "/", 405), ("GET", "/no", 404)]
)
def test_a_wrong_method_or_path_gets_json(demo: Demo, method: str, path: str, status: int) -> None:
    reply = httpx.request(method, demo.url + path)
    assert reply.status_code == status
    assert reply.json()["detail"]


def test_the_page_has_a_strict_policy_and_nothing_inline(demo: Demo) -> None:
    reply = httpx.get(demo.url)
    policy = reply.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", reply.text) == []
    assert httpx.get(f"{demo.url}/healthz").json() == {"status": "ok"}
