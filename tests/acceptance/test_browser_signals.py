"""Stars for number types, and how long an answer was in sight, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser_page import FeedbackServer, Tab, chromium_running, new_tab, serving, token
from playwright.sync_api import Browser, expect

STARS = f'token="{token("d1")}" for="answer" stars="quality"'
DWELL = f'token="{token("d1")}" for="answer" dwell="seconds"'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[FeedbackServer]:
    with serving() as running:
        yield running


@pytest.fixture
def tab(chromium: Browser, server: FeedbackServer) -> Iterator[Tab]:
    context = chromium.new_context()
    tab = new_tab(context, server)
    yield tab
    context.close()
    assert tab.faults == []


def said(server: FeedbackServer, count: int) -> tuple[str, Any]:
    body = server.wait(count).body
    return body["type"], body["value"]


def test_stars_take_the_place_of_thumbs_and_send_a_number(tab: Tab) -> None:
    tab.open(STARS)
    expect(tab.button("Good answer")).to_have_count(0)
    fourth = tab.button("Rating 4/5")
    fourth.click()
    assert said(tab.server, 1) == ("quality", 4)
    expect(fourth).to_have_attribute("aria-pressed", "true")
    expect(tab.button("Rating 3/5")).to_have_attribute("aria-pressed", "false")
    filled = tab.page.locator("afterword-feedback [part~=filled]")
    expect(filled).to_have_count(4)
    tab.button("Rating 2/5").click()
    assert said(tab.server, 2) == ("quality", 2)
    expect(filled).to_have_count(2)
    tab.button("Rating 2/5").click()
    assert said(tab.server, 3) == ("quality", None)
    expect(filled).to_have_count(0)
    expect(tab.page.get_by_role("status")).to_have_text("Feedback withdrawn")


def test_stars_are_shown_again_after_a_reload_and_worked_with_the_keyboard(tab: Tab) -> None:
    tab.open(STARS + ' stars-max="3" label-star="Sterne"')
    expect(tab.page.get_by_role("button", name="Sterne")).to_have_count(3)
    tab.button("Sterne 3/3").focus()
    tab.page.keyboard.press("Enter")
    assert said(tab.server, 1) == ("quality", 3)
    tab.wait_said("sent")
    tab.page.reload()
    expect(tab.button("Sterne 3/3")).to_have_attribute("aria-pressed", "true")


def test_the_time_an_answer_was_in_sight_is_told_once_when_the_page_is_left(tab: Tab) -> None:
    tab.page.clock.install()
    tab.open(DWELL)
    tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    tab.page.clock.run_for(7_000)
    assert tab.server.feedback == []
    tab.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert said(tab.server, 1) == ("seconds", 7)
    tab.page.clock.run_for(5_000)
    tab.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    tab.button("Good answer").click()
    assert said(tab.server, 2) == ("rating", "good")


def test_time_out_of_sight_does_not_count_and_a_glance_says_nothing(tab: Tab) -> None:
    tab.page.clock.install()
    tab.open(DWELL)
    tab.page.evaluate("document.getElementById('question').style.marginBlockEnd = '5000px'")
    tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    tab.page.clock.run_for(9_000)
    tab.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    tab.button("Good answer").click()
    assert said(tab.server, 1) == ("rating", "good")
