"""The element <afterword-feedback> in a real browser, as people see, hear and work it."""

import gzip
import re
from collections.abc import Iterator

import pytest
from browser_page import FeedbackServer, Tab, chromium_running, new_tab, serving, token
from playwright.sync_api import Browser, Route, expect

from afterword.asgi.browser import module_source

ONE = f'token="{token("d1")}" for="answer"'
ANSWER = "Look at what your customers do when you are not there."


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


def said(server: FeedbackServer, count: int) -> dict[str, object]:
    """The `count`-th post, without what every one has."""
    body = dict(server.wait(count).body)
    assert body.pop("token") == token("d1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("created_at"))
    return body


def test_the_module_is_one_file_without_imports_below_12_kilobytes() -> None:
    source = module_source()
    assert not re.search(r"^\s*import\b|\bimport\(", source, re.MULTILINE)
    assert re.findall(r"^export (?:async )?(\w+ \w+)", source, re.MULTILINE) == [
        "function track",
        "class AfterwordFeedback",
    ]
    assert len(gzip.compress(source.encode())) < 12_000


def test_a_thumb_sends_a_rating_and_a_second_click_takes_it_back(tab: Tab) -> None:
    tab.open(ONE)
    good = tab.button("Good answer")
    expect(good).to_have_attribute("aria-pressed", "false")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    assert said(tab.server, 1) == {"type": "rating", "value": "good"}
    good.click()
    expect(good).to_have_attribute("aria-pressed", "false")
    assert said(tab.server, 2) == {"type": "rating", "value": None}
    expect(tab.page.get_by_role("status")).to_have_text("Feedback withdrawn")


def test_a_thumb_down_asks_what_was_wrong_and_takes_a_comment(tab: Tab) -> None:
    tab.open(ONE)
    tab.button("Bad answer").click()
    assert said(tab.server, 1) == {"type": "rating", "value": "bad"}
    tab.button("Too long").click()
    assert said(tab.server, 2) == {"type": "issue", "value": "too_long"}
    expect(tab.button("Too long")).to_have_attribute("aria-pressed", "true")
    tab.button("Too long").click()
    assert said(tab.server, 3) == {"type": "issue", "value": "too_long", "unset": True}
    tab.page.get_by_role("textbox").fill("  Half of it is the question again. ")
    tab.button("Send").click()
    assert said(tab.server, 4) == {
        "type": "rating",
        "value": "bad",
        "comment": "Half of it is the question again.",
    }
    expect(tab.page.get_by_role("textbox")).to_have_count(0)
    expect(tab.page.get_by_role("status")).to_have_text("Thank you")


def test_a_thumb_that_turns_up_takes_its_issues_back(tab: Tab) -> None:
    tab.open(ONE)
    tab.button("Bad answer").click()
    tab.button("Incorrect").click()
    said(tab.server, 2)
    tab.button("Good answer").click()
    tab.wait_said("sent", 4)
    entries = [entry for post in tab.server.feedback[2:] for entry in post.entries]
    assert [(entry["type"], entry["value"]) for entry in entries] == [
        ("rating", "good"),
        ("issue", None),
    ]
    expect(tab.button("Incorrect")).to_have_count(0)


def test_the_keyboard_alone_does_everything_and_keeps_its_place(tab: Tab) -> None:
    tab.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    keyboard = tab.page.keyboard
    keyboard.press("Tab")
    expect(tab.button("Good answer")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Space")
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true")
    expect(tab.button("Bad answer")).to_be_focused()
    for name in ("Say what went wrong", "Edit answer", "Incorrect", "Incomplete"):
        keyboard.press("Tab")
        expect(tab.button(name)).to_be_focused()
    keyboard.press("Enter")
    assert said(tab.server, 2) == {"type": "issue", "value": "incomplete"}
    keyboard.press("Escape")
    expect(tab.button("Say what went wrong")).to_be_focused()
    expect(tab.button("Say what went wrong")).to_have_attribute("aria-expanded", "false")
    keyboard.press("Enter")
    tab.page.get_by_role("textbox").focus()
    keyboard.type("No example")
    keyboard.press("Control+Enter")
    assert said(tab.server, 3)["comment"] == "No example"
    expect(tab.button("Say what went wrong")).to_be_focused()


def test_an_edited_answer_is_a_correction_that_says_how_much_was_kept(tab: Tab) -> None:
    tab.open(ONE)
    tab.button("Edit answer").click()
    box = tab.page.get_by_role("textbox")
    expect(box).to_be_focused()
    expect(box).to_have_value(ANSWER)
    box.fill(ANSWER.replace("Look at", "Ask").replace("there", "around"))
    tab.button("Save").click()
    correction = said(tab.server, 1)
    metadata = correction.pop("metadata")
    assert isinstance(metadata, dict)
    assert correction == {
        "type": "correction",
        "value": "Ask what your customers do when you are not around.",
    }
    assert metadata["before"] == ANSWER
    assert 0.75 < metadata["kept"] < 0.9
    tab.button("Edit answer").click()
    box.fill(ANSWER)
    tab.button("Save").click()
    assert said(tab.server, 2) == {"type": "correction", "value": None}


def test_a_long_correction_is_measured_soon_and_fits_a_body(tab: Tab) -> None:
    tab.open(ONE)
    words = [f"word{number}" for number in range(1500)]
    write = "text => { document.getElementById('answer').textContent = text }"
    tab.page.evaluate(write, " ".join(words))
    tab.button("Edit answer").click()
    words[10:20], words[1400:1490] = ["other"], []
    tab.page.get_by_role("textbox").fill(" ".join(words))
    started = tab.page.evaluate("performance.now()")
    tab.button("Save").click()
    metadata = said(tab.server, 1)["metadata"]
    assert tab.page.evaluate("performance.now()") - started < 3000
    assert isinstance(metadata, dict)
    assert metadata.keys() == {"kept"}  # twice the text would be over 16 kB
    assert 0.9 < metadata["kept"] < 0.95


def test_a_copy_from_the_answer_is_told_once_with_its_share(tab: Tab) -> None:
    tab.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    tab.page.locator("#question").click(click_count=3)
    tab.page.keyboard.press("Control+c")
    tab.page.locator("#answer").click(click_count=3)
    tab.page.keyboard.press("Control+c")
    assert said(tab.server, 1) == {
        "type": "action",
        "value": "copied",
        "metadata": {"share": 1},
    }
    tab.page.keyboard.press("Control+c")
    tab.button("Good answer").click()
    assert said(tab.server, 2) == {"type": "rating", "value": "good"}


def test_a_copy_of_a_word_tells_its_share(tab: Tab) -> None:
    tab.open(ONE)
    expect(tab.button("Good answer")).to_be_enabled()
    tab.page.locator("#answer").dblclick(position={"x": 5, "y": 10})
    tab.page.keyboard.press("Control+c")
    assert said(tab.server, 1)["metadata"] == {"share": round(len("Look") / len(ANSWER), 3)}


def test_a_reload_shows_again_what_was_said(tab: Tab) -> None:
    third, fourth = token("d4", "d3"), token("d5", "d1")
    tab.open(ONE, f'token="{token("d2")}"', f'token="{third}" data-id="d3"', f'token="{fourth}"')
    tab.button("Bad answer").first.click()
    tab.button("Offensive").click()
    tab.button("Good answer").nth(2).click()
    tab.wait_said("sent", 3)
    tab.server.posts.clear()
    tab.open()
    expect(tab.button("Bad answer").first).to_have_attribute("aria-pressed", "true")
    expect(tab.button("Good answer").nth(2)).to_have_attribute("aria-pressed", "true")
    expect(tab.button("Good answer").nth(1)).to_have_attribute("aria-pressed", "false")
    expect(tab.button("Bad answer").nth(3)).to_have_attribute("aria-pressed", "false")
    named = "[...document.querySelectorAll('afterword-feedback')].map(each => each.dataId)"
    assert tab.page.evaluate(named) == ["d1", "d2", "d3", "d5"]
    tab.button("Say what went wrong").click()
    expect(tab.button("Offensive")).to_have_attribute("aria-pressed", "true")
    assert [post.body for post in tab.server.mine] == [
        {"tokens": [token("d1"), token("d2"), third, fourth]}
    ]
    assert tab.wait_said("restored") == {
        "dataId": "d1",
        "state": {"rating": "bad", "issue": ["offensive"]},
    }


def test_an_answer_that_comes_late_does_not_undo_a_click(tab: Tab) -> None:
    questions: list[Route] = []
    tab.page.route("**/mine", lambda route: questions.append(route))
    tab.open(ONE)
    tab.button("Good answer").click()
    tab.wait_said("sent")
    questions[0].fulfill(json={"d1": {"rating": "bad", "correction": "Better"}})
    assert tab.wait_said("restored")["state"] == {"rating": "good", "correction": "Better"}
    expect(tab.button("Good answer")).to_have_attribute("aria-pressed", "true")


def test_a_token_can_come_later_and_change(tab: Tab) -> None:
    tab.server.said["d2"] = {"rating": "good"}
    tab.open("")
    good = tab.button("Good answer")
    expect(good).to_be_disabled()
    element = tab.page.locator("afterword-feedback")
    element.evaluate("(element, token) => { element.token = token }", token("d1"))
    expect(good).to_be_enabled()
    good.click()
    said(tab.server, 1)
    element.evaluate("(element, token) => element.setAttribute('token', token)", token("d9"))
    expect(good).to_have_attribute("aria-pressed", "false")
    element.evaluate("(element, token) => element.setAttribute('token', token)", token("d2"))
    expect(good).to_have_attribute("aria-pressed", "true")
    assert element.evaluate("element => [element.dataId, element.token]") == ["d2", token("d2")]


def test_events_bubble_out_of_other_shadow_roots(tab: Tab) -> None:
    tab.open(ONE)
    tab.page.evaluate(
        """token => {
          const host = document.body.appendChild(document.createElement("div"));
          const element = document.createElement("afterword-feedback");
          element.token = token;
          element.setAttribute("data-id", "d5");
          host.attachShadow({ mode: "open" }).append(element);
        }""",
        token("d4", "d5"),
    )
    tab.button("Good answer").nth(1).click()
    feedback = tab.wait_said("feedback")
    assert feedback.pop("createdAt") == tab.server.wait(1).body["created_at"]
    assert feedback == {"dataId": "d5", "type": "rating", "value": "good"}
    sent = tab.wait_said("sent")
    assert (sent["dataId"], sent["status"], sent["pending"]) == ("d5", 202, False)


def test_words_and_issues_are_the_pages(tab: Tab) -> None:
    tab.open(
        f'{ONE} issues="made_up, rude" label-good="Bien" label-bad="Mal" label-issues="Pourquoi ?"'
        ' label-issue-made-up="Inventé" label-send="Envoyer"'
    )
    tab.button("Mal").click()
    expect(tab.page.get_by_role("group", name="Pourquoi ?")).to_be_visible()
    tab.button("Inventé").click()
    assert said(tab.server, 2) == {"type": "issue", "value": "made_up"}
    expect(tab.button("Rude")).to_be_visible()
    tab.page.get_by_role("textbox").fill("Texte")
    tab.page.locator("afterword-feedback").evaluate("e => e.setAttribute('label-send', 'Dire')")
    expect(tab.button("Dire")).to_be_visible()
    expect(tab.page.get_by_role("textbox")).to_have_value("Texte")


def test_right_to_left_pages_get_it_mirrored(tab: Tab) -> None:
    tab.open(f'{ONE} dir="rtl"')
    good, edit = tab.button("Good answer").bounding_box(), tab.button("Edit answer").bounding_box()
    assert good["x"] > edit["x"]
    assert good["width"] >= 28
    assert good["height"] >= 28


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    chromium: Browser, server: FeedbackServer, scheme: str
) -> None:
    context = chromium.new_context(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    tab = new_tab(context, server).open(ONE)
    tab.button("Bad answer").click()
    tab.button("Incorrect").click()
    tab.button("Irrelevant").hover()
    tab.page.get_by_role("textbox").fill("Text")
    contrasts: dict[str, float] = tab.page.evaluate("window.contrasts()")
    assert {"Incorrect", "Irrelevant", "Send", "Close", "What went wrong?"} <= contrasts.keys()
    assert {text: ratio for text, ratio in contrasts.items() if ratio < 4.5} == {}
    moving = "document.querySelector('afterword-feedback').getAnimations({ subtree: true }).length"
    assert tab.page.evaluate(moving) == 0
    context.close()


def test_a_strict_policy_finds_nothing_to_forbid(tab: Tab) -> None:
    tab.open(f"{ONE} debug")
    tab.button("Bad answer").click()
    tab.button("Close").click()
    tab.button("Edit answer").click()
    tab.button("Cancel").click()
    assert tab.faults == []
    tab.page.evaluate("document.body.setAttribute('style', 'color: red')")
    expect(tab.page.locator("body")).to_have_attribute("style", "color: red")
    assert len(tab.faults) == 1  # so the policy was in force
    tab.faults.clear()


def test_properties_set_before_the_element_was_defined_count(tab: Tab) -> None:
    tab.page.add_init_script(
        f"""addEventListener("readystatechange", () => {{
          const element = document.querySelector("afterword-feedback");
          if (element && document.readyState === "interactive") element.token = "{token("d1")}";
        }}, true)"""
    )
    tab.server.said["d2"] = {"rating": "bad"}
    tab.open("")
    tab.button("Good answer").click()
    assert said(tab.server, 1) == {"type": "rating", "value": "good"}
    element = tab.page.locator("afterword-feedback")
    element.evaluate("(element, token) => { element.token = token }", token("d2"))
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true")
