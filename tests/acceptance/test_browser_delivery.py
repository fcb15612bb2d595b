"""Feedback on its way from the browser: offline, refused, interrupted, and never doubled."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from browser_page import FeedbackServer, Tab, chromium_running, new_tab, serving, token
from playwright.sync_api import Browser, BrowserContext, expect

ONE = f'token="{token("d1")}" for="answer"'
RATING = {"type": "rating", "value": "good"}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[FeedbackServer]:
    with serving() as running:
        yield running


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext, server: FeedbackServer) -> Iterator[Tab]:
    tab = new_tab(context, server)
    yield tab
    assert tab.faults == []


def values(server: FeedbackServer) -> list[object]:
    return [entry["value"] for post in server.feedback for entry in post.entries]


def track(tab: Tab, value: str, **options: object) -> str:
    call = "([token, value, options]) => afterword.track(token, 'action', value, options)"
    outcome: str = tab.page.evaluate(call, [token("d1"), value, options])
    return outcome


def test_feedback_given_offline_is_sent_once_when_the_network_is_back(
    tab: Tab, context: BrowserContext
) -> None:
    tab.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    context.set_offline(True)
    tab.button("Good answer").click()
    expect(tab.page.get_by_role("status")).to_have_text("Kept, and sent later")
    error = tab.wait_said("error")
    assert (error["pending"], error["status"]) == (True, 0)
    assert len(tab.queue()) == 1
    context.set_offline(False)
    assert tab.wait_said("sent")["value"] == "good"
    assert tab.queue() == []
    expect(tab.page.get_by_role("status")).to_have_text("Thank you")
    assert track(tab, "saved") == "sent"
    assert values(tab.server) == ["good", "saved"]


def test_feedback_given_offline_is_sent_in_one_list_at_the_next_load(
    tab: Tab, context: BrowserContext
) -> None:
    tab.open(ONE)
    expect(tab.button("Bad answer")).to_be_enabled()
    context.set_offline(True)
    tab.button("Bad answer").click()
    tab.button("Incorrect").click()
    tab.wait_said("error", 2)
    assert tab.server.feedback == []
    tab.page.goto("about:blank")
    context.set_offline(False)
    tab.open()
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true")
    tab.wait_said("sent", 2)
    posts = tab.server.feedback
    # Chromium may end the emulation before the page, and let the same list out as its farewell.
    assert len(posts) in (1, 2)
    assert posts[0].body == posts[-1].body
    assert [entry["value"] for entry in posts[-1].entries] == ["bad", "incorrect"]
    assert posts[-1].body["token"] == token("d1")
    assert tab.queue() == []


def test_what_waits_here_is_shown_before_the_server_knows_it(tab: Tab) -> None:
    tab.server.answers.extend([(503, {"retry-after": "600"})])
    tab.server.said["d1"] = {"rating": "bad"}
    tab.open(ONE)
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true")
    tab.button("Good answer").click()
    assert tab.wait_said("error")["status"] == 503
    tab.button("Edit answer").click()
    tab.page.get_by_role("textbox").fill("Better")
    tab.button("Save").click()
    tab.open()
    expect(tab.button("Good answer")).to_have_attribute("aria-pressed", "true")
    assert tab.wait_said("restored")["state"] == {"rating": "good", "correction": "Better"}
    assert len(tab.server.feedback) == 1  # the server asked for ten minutes


@pytest.mark.parametrize("answer", [(503, {}), (429, {"retry-after": "1"})])
def test_a_busy_server_is_asked_again_with_the_same_time(
    tab: Tab, answer: tuple[int, dict[str, str]]
) -> None:
    tab.server.answers.append(answer)
    tab.open(ONE)
    tab.button("Good answer").click()
    assert tab.wait_said("error")["status"] == answer[0]
    tab.wait_said("sent")
    first, second = tab.server.feedback
    assert first.body == second.body
    assert tab.queue() == []


def test_a_refusal_is_final_and_shows_what_the_server_knows(tab: Tab) -> None:
    tab.server.answers.append((403, {}))
    tab.server.said["d1"] = {"rating": "bad"}
    tab.open(ONE)
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true")
    tab.button("Good answer").click()
    error = tab.wait_said("error")
    assert (error["status"], error["pending"], error["value"]) == (403, False, "good")
    expect(tab.page.get_by_role("status")).to_have_text("This could not be saved")
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true")
    expect(tab.button("Good answer")).to_have_attribute("aria-pressed", "false")
    assert tab.queue() == []


def test_a_refused_correction_keeps_what_was_written(tab: Tab) -> None:
    tab.server.answers.append((413, {}))
    tab.open(ONE)
    tab.button("Edit answer").click()
    tab.page.get_by_role("textbox").fill("A whole new answer")
    tab.button("Save").click()
    tab.wait_said("error")
    expect(tab.page.get_by_role("textbox")).to_have_value("A whole new answer")


def test_one_bad_entry_does_not_take_the_others_of_its_list_along(tab: Tab) -> None:
    tab.server.refuses = lambda entry: entry["value"] == "unheard_of"
    tab.server.released.clear()
    tab.open(ONE)
    tab.button("Good answer").click()
    tab.server.wait(1)
    tab.page.evaluate(
        """token => { window.outcomes = Promise.all(
          ["saved", "unheard_of", "shared"].map(v => afterword.track(token, "action", v))) }""",
        token("d1"),
    )
    tab.server.released.set()
    assert tab.page.evaluate("window.outcomes") == ["sent", "refused", "sent"]
    assert tab.server.said["d1"] == {"rating": "good", "action": ["saved", "shared"]}
    assert tab.queue() == []


def test_a_login_page_is_not_taken_for_an_answer(tab: Tab) -> None:
    tab.server.answers.append((303, {"location": "/"}))
    tab.open(ONE)
    tab.button("Good answer").click()
    assert tab.wait_said("error")["pending"] is True
    tab.wait_said("sent")
    assert values(tab.server) == ["good", "good"]


def test_a_page_that_goes_away_sends_what_was_still_waiting(tab: Tab) -> None:
    tab.server.released.clear()
    tab.open(ONE)
    tab.button("Good answer").click()
    tab.server.wait(1)
    tab.button("Good answer").click()  # waits behind the first, which has no answer yet
    tab.page.goto("about:blank")
    assert tab.server.wait(2).body["value"] is None
    assert tab.server.feedback[1].content_type == "application/json"


def test_a_browser_without_keepalive_leaves_with_a_beacon(tab: Tab) -> None:
    tab.page.add_init_script("delete Request.prototype.keepalive")
    tab.server.released.clear()
    tab.open(ONE)
    tab.button("Good answer").click()
    tab.server.wait(1)
    tab.button("Good answer").click()
    tab.page.goto("about:blank")
    beacon = tab.server.wait(2)
    assert beacon.content_type == "text/plain;charset=UTF-8"
    assert (beacon.body["token"], beacon.body["value"]) == (token("d1"), None)


def test_a_wrong_clock_does_not_misdate_feedback(tab: Tab, context: BrowserContext) -> None:
    context.clock.set_system_time(datetime.now(UTC) - timedelta(days=3))
    tab.open(ONE)
    tab.page.wait_for_function("() => document.querySelector('afterword-feedback').dataId")
    tab.button("Good answer").click()
    given = datetime.fromisoformat(tab.server.wait(1).body["created_at"])
    assert abs(given - datetime.now(UTC)) < timedelta(seconds=30)
    tab.wait_said("sent")


def test_two_tabs_send_a_queued_entry_once(tab: Tab, context: BrowserContext) -> None:
    other = new_tab(context, tab.server)
    tab.open(ONE)
    other.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    context.set_offline(True)
    tab.button("Good answer").click()
    tab.wait_said("error")
    context.set_offline(False)  # both hear it
    tab.page.wait_for_function("() => Object.keys(localStorage).length === 0")
    for each in (tab, other):
        assert track(each, "saved") == "sent"
    assert values(tab.server) == ["good", "saved", "saved"]


def test_an_entry_belongs_to_its_tab_until_that_is_closed(
    tab: Tab, context: BrowserContext
) -> None:
    other = new_tab(context, tab.server)
    other.open(ONE)
    tab.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    tab.page.route("**/feedback/", lambda route: route.abort())  # cuts off this tab alone
    tab.button("Good answer").click()
    tab.wait_said("error")
    online = "dispatchEvent(new Event('online'))"
    other.page.evaluate(online)
    assert track(other, "saved") == "sent"
    other.page.evaluate(online)
    assert track(other, "shared") == "sent"
    assert values(tab.server) == ["saved", "shared"]
    tab.page.close()
    other.page.wait_for_function(
        "async () => (await navigator.locks.query()).held.every(({ name }) => !(name in localStorage))"
    )
    other.page.evaluate(online)
    tab.server.wait(3)
    assert values(tab.server) == ["saved", "shared", "good"]


def test_without_storage_feedback_is_sent_all_the_same(tab: Tab) -> None:
    tab.page.add_init_script(
        """Object.defineProperty(window, "localStorage", {
          get() { throw new DOMException("no", "SecurityError"); } })"""
    )
    tab.server.answers.append((503, {}))
    tab.open(ONE)
    tab.button("Good answer").click()
    tab.wait_said("sent")
    assert values(tab.server) == ["good", "good"]


def test_the_queue_is_bounded_and_forgets_what_is_old_or_foreign(
    tab: Tab, context: BrowserContext
) -> None:
    tab.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    old = {
        "id": "0-old",
        "endpoint": tab.server.url + "feedback/",
        "token": token("d1"),
        "entry": {**RATING, "created_at": "2020-01-01T00:00:00.000Z"},
        "made": 1,
        "due": 0,
        "tries": 0,
    }
    context.set_offline(True)
    tab.page.evaluate(
        """old => { localStorage.setItem("afterword:queue:0-old", old);
                    localStorage.setItem("afterword:queue:1-broken", "{");
                    localStorage.setItem("theirs", "kept"); }""",
        json.dumps(old),
    )
    good = tab.button("Good answer")
    for _ in range(53):
        good.click()
    tab.wait_said("error", 5)  # the first try of one, and four that had to give way or were too old
    keys = tab.page.evaluate("Object.keys(localStorage).sort()")
    assert len(keys) == 51
    assert keys[-1] == "theirs"
    assert not {"afterword:queue:0-old", "afterword:queue:1-broken"} & set(keys)


def test_a_signal_is_tracked_once_and_not_without_end(tab: Tab) -> None:
    tab.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    assert track(tab, "saved") == "sent"
    assert track(tab, "saved") == "skipped"
    assert track(tab, "saved", dataId="d1", metadata={"where": "menu"}) == "sent"
    assert tab.server.wait(2).body["data_id"] == "d1"
    assert tab.server.wait(2).body["metadata"] == {"where": "menu"}
    assert tab.wait_said("sent", 2)["dataId"] == "d1"
    outcomes = tab.page.evaluate(
        """token => Promise.all(Array.from({ length: 40 },
             (_, n) => afterword.track(token, "stars", n)))""",
        token("d1"),
    )
    assert outcomes == ["sent"] * 28 + ["skipped"] * 12
    assert tab.page.evaluate("afterword.track('', 'action', 'saved')") == "skipped"
