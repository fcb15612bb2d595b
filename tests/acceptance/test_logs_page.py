"""The Logs pages in a real browser: read, filter, page, review, without JavaScript, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_page import chromium_running
from logs_site import Site, Witness, serving
from playwright.sync_api import Browser, Page, expect

from afterword.delivery.frames import Spooled, body_of


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(10_000)
        yield context.new_page()


def feedback_of(site: Site, data_id: str) -> list[tuple[str, Any, str | None, str]]:
    generation = site.client.get(data_id)
    assert generation is not None
    return [(found.type, found.value, found.user, found.source) for found in generation.feedback]


def dead_letter(site: Site, data_id: str) -> None:
    """Let the site have one, so that its pages have a banner."""
    dispatch = site.client.recorder.dispatch
    row = site.client.store.generation(data_id)
    assert dispatch.spool.is_on_disk
    assert dispatch.dead_letters is not None
    dispatch.dead_letters.put(body_of(Spooled(generation=row)), "the store refused it")


def test_the_first_visit_tells_how_to_begin(site: Site, page: Page) -> None:
    page.goto(site.logs)
    expect(page.get_by_role("heading", name="No generation has been logged yet")).to_be_visible()


def test_a_reader_finds_a_generation_by_its_feedback(site: Site, page: Page) -> None:
    for number in range(60):
        data_id = site.client.log(inputs={"question": f"Question {number}?"}, output="So.")
        if number == 3:
            site.client.feedback(data_id, "rating", "bad", user="user_123456")
    page.goto(site.logs)
    rows = page.locator("tbody").get_by_role("row")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("Question 59?")
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(10)
    expect(rows.last).to_contain_text("Question 0?")

    page.goto(site.logs)
    page.get_by_label("Feedback").select_option("rating:bad")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("rating bad")
    page.get_by_role("link", name="remove this filter").click()
    expect(rows).to_have_count(50)

    page.get_by_label("Text").fill("Question 42?")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    rows.get_by_role("link", name="Question 42?").click()
    expect(page.get_by_role("heading", name="Output")).to_be_visible()


def test_a_reviewer_rates_corrects_and_takes_back(site: Site, page: Page) -> None:
    witness = Witness()
    witness.watch(page)
    data_id = site.client.log(
        inputs={"question": "How should I think about competition for my startup?"},
        output="Start from the customer.\nThen look around.",
    )
    site.client.feedback(data_id, "rating", "good", user="user_123456")

    page.goto(site.logs)
    page.get_by_role("link", name="How should I think about competition").click()
    form = page.locator("form.review")
    correction = form.get_by_role("textbox", name="correction")
    expect(correction).to_have_value("Start from the customer.\nThen look around.")
    form.get_by_role("radio", name="bad").check()
    form.get_by_role("checkbox", name="incomplete").check()
    form.get_by_label("comment").fill("It stops too early.")
    form.get_by_label("Your name").fill("Ana")
    form.get_by_role("button", name="Save review").click()

    expect(page).to_have_url(f"{site.generation(data_id)}#feedback")
    expect(page.locator(".current")).to_contain_text("It stops too early.")
    # The untouched correction was not sent.
    assert feedback_of(site, data_id) == [
        ("rating", "good", "user_123456", "end_user"),
        ("rating", "bad", "Ana", "reviewer"),
        ("issue", "incomplete", "Ana", "reviewer"),
        ("comment", "It stops too early.", "Ana", "reviewer"),
    ]

    correction.fill("Start from the customer.\nName three rivals.")
    form.get_by_label("Your name").fill("Ana")
    form.get_by_role("button", name="Save review").click()
    expect(page.locator(".current")).to_contain_text("Name three rivals.")
    assert feedback_of(site, data_id)[-1] == (
        "correction", "Start from the customer.\nName three rivals.", "Ana", "reviewer",
    )  # fmt: skip

    page.get_by_role("button", name="Take back rating bad").click()
    expect(page.locator(".history")).to_contain_text("took back rating")
    assert ("rating", "bad", "Ana", "reviewer") not in feedback_of(site, data_id)
    witness.assert_nothing_but(site.origin)


def test_an_empty_review_is_refused_in_words(site: Site, page: Page) -> None:
    data_id = site.client.log(inputs="x", output="y")
    page.goto(site.generation(data_id))
    page.get_by_role("button", name="Save review").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a rating or an issue")


def test_the_pages_work_without_javascript(site: Site, browser: Browser) -> None:
    data_id = site.client.log(inputs={"question": "How?"}, output="So.")
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.logs)
        page.click("text=How?")
        page.check("input[name=rating][value=good]")
        page.click("text=Save review")
        page.wait_for_url(f"{site.generation(data_id)}#feedback")
    assert feedback_of(site, data_id) == [("rating", "good", "reviewer", "reviewer")]


def test_a_form_on_another_site_cannot_rate(site: Site, page: Page) -> None:
    data_id = site.client.log(inputs="x", output="y")
    # The same server under another name is another site to the browser.
    foreign = site.origin.replace("127.0.0.1", "localhost")
    target = f"{site.generation(data_id)}/feedback"
    page.route(
        f"{foreign}/attack",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method=post action="{target}"><button name=rating value=bad>Go</button>',
        ),
    )
    page.goto(f"{foreign}/attack")
    with page.expect_response(target) as answer:
        page.get_by_role("button", name="Go").click()
    assert answer.value.status == 403
    expect(page.get_by_role("heading", name="This form was refused")).to_be_visible()
    assert feedback_of(site, data_id) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_the_screen_and_texts_stand_out_from_their_ground(
    site: Site, browser: Browser, scheme: Any, width: int
) -> None:
    data_id = site.client.log(
        inputs={"question": "How?" * 30}, output={"answer": "W" * 500}, name="a.b." + "c" * 80,
        model="SmolLM2-135M-Instruct", user="u" * 60, error="ValueError: " + "x" * 300,
    )  # fmt: skip
    site.client.feedback(data_id, "rating", "bad", user="user_1", comment="c" * 200)
    site.client.feedback(data_id, "issue", ["incorrect", "too_long"], user="Ana", source="reviewer")
    site.client.feedback(data_id, "rating", "good", user="user_2")
    dead_letter(site, data_id)
    with browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}
    ) as context:
        page = context.new_page()
        for address in (site.logs, f"{site.logs}?user=x&status=ok", site.generation(data_id)):
            page.goto(address)
            expect(page.locator(".banner")).to_contain_text("1 dead letter waits in the spool")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(FAINT_TEXTS) == []


#: Texts whose contrast with their ground is under 4.5 (WCAG AA), as "ratio text" lines.
FAINT_TEXTS = """() => {
  const light = rgb => {
    const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.slice(0, 3).map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const rgba = parts(getComputedStyle(e).backgroundColor);
      if (rgba.length < 4 || rgba[3] > 0) return rgba;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType == 3 && n.data.trim());
    const box = element.getBoundingClientRect();
    if (!own || box.width < 2 || element.closest('svg, option')) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) faint.add(ratio.toFixed(2) + ' ' + element.textContent.trim().slice(0, 40));
  }
  return [...faint];
}"""
