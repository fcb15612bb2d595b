"""axe-core, from the npm registry, finds nothing to mend in what people see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_page import FeedbackServer, chromium_running, new_tab, running, serving, token
from npm_packages import packed
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from afterword import Client
from afterword.asgi import feedback_routes, link

ONE = f'token="{token("d1")}" for="answer"'


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = packed("axe-core@4", tmp_path_factory.mktemp("axe"))
    return (folder / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[FeedbackServer]:
    with serving() as server:
        yield server


def violations(page: Page, axe: str) -> list[Any]:
    """The rules that the page breaks, best practices included, and where."""
    page.evaluate(axe)
    found: list[Any] = page.evaluate("async () => (await axe.run()).violations")
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_the_element_breaks_no_rule_in_any_of_its_states(
    chromium: Browser, server: FeedbackServer, axe: str, scheme: Any, direction: str
) -> None:
    context = chromium.new_context(color_scheme=scheme, reduced_motion="reduce")
    tab = new_tab(context, server).open(f'{ONE} dir="{direction}"')
    # What the test's own page lacks is not the element's to mend.
    own = {"landmark-one-main", "page-has-heading-one", "region"}

    def broken() -> list[Any]:
        return [rule for rule in violations(tab.page, axe) if rule[0] not in own]

    assert broken() == []
    tab.button("Bad answer").click()
    tab.button("Incorrect").click()
    tab.page.get_by_role("textbox").fill("Text")
    assert broken() == []
    tab.button("Close").click()
    tab.button("Edit answer").click()
    expect(tab.page.get_by_role("textbox")).to_be_visible()
    assert broken() == []
    tab.page.get_by_role("textbox").fill("Better.")
    tab.button("Save").click()
    tab.wait_said("sent", 3)
    assert broken() == []
    context.close()


def test_axe_would_notice(chromium: Browser, server: FeedbackServer, axe: str) -> None:
    context = chromium.new_context()
    tab = new_tab(context, server).open(ONE)
    tab.page.evaluate(
        """() => {
          const root = document.querySelector("afterword-feedback").shadowRoot;
          const button = root.querySelector("button");
          for (const name of ["aria-label", "title"]) button.removeAttribute(name);
        }"""
    )
    assert "button-name" in {rule for rule, _ in violations(tab.page, axe)}
    context.close()


@pytest.mark.parametrize(("wish", "moves"), [("no-preference", True), ("reduce", False)])
def test_nothing_moves_for_those_who_asked_for_that(
    chromium: Browser, server: FeedbackServer, wish: Any, moves: bool
) -> None:
    context = chromium.new_context(reduced_motion=wish)
    tab = new_tab(context, server).open(ONE)
    tab.button("Bad answer").click()
    panel = tab.page.get_by_role("group", name="What went wrong?")
    animation = panel.evaluate("(node) => getComputedStyle(node).animationName")
    lasting = tab.button("Send").evaluate("(node) => getComputedStyle(node).transitionDuration")
    assert (animation != "none") is moves
    assert (lasting.strip("0s, ") != "") is moves
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_link_breaks_no_rule(
    chromium: Browser, axe: str, scheme: Any, tmp_path: Path
) -> None:
    client = Client(f"sqlite:///{tmp_path}/afterword.db")
    app = Starlette(routes=[Mount("/feedback", routes=feedback_routes(client=client))])
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    with running(app, strict=False) as url:
        data_id = client.log(output="An answer.")
        page.goto(link(data_id, "rating", "good", client=client, base_url=f"{url}feedback"))
        assert violations(page, axe) == []
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        assert violations(page, axe) == []
    context.close()
    client.close()
