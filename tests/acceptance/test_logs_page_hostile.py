"""Hostile text in every field of the Logs pages, in a real browser: nothing of it runs or hides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from browser_page import chromium_running
from logs_site import Site, Witness, serving
from playwright.sync_api import Browser, Page, expect

#: What an attacker may write anywhere a log keeps text. Each tries to run code, to fetch from
#: elsewhere, to leave its element, or to lie about what stands beside it.
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=http://evil.invalid/x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    '" autofocus onfocus=alert(1) x="',
    "<svg onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<link rel=stylesheet href=http://evil.invalid/x.css>",
    "<style>@import 'http://evil.invalid/x.css';</style>",
    "<base href=http://evil.invalid/>",
    "<meta http-equiv=refresh content='0;url=http://evil.invalid/'>",
    "<form action=http://evil.invalid/><button>Filter</button></form>",
    "<a href=javascript:alert(1)>javascript:alert(1)</a>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "![x](http://evil.invalid/x.png) [x](javascript:alert(1))",
    "<!--", "<![CDATA[", "<x a='", "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "pay \u202eliah\u202c \u2066x\u2069 \u200b\ufeff\U000e0041",
    "\x1b[31mred\x1b]8;;http://evil.invalid\x07 \x9b31m \x00 \x7f",
    "line\r\nSet-Cookie: a=b\r\n\r\n<script>alert(1)</script>",
    '=HYPERLINK("http://evil.invalid") +1+1 @SUM(1)',
    "Z͑ͫ̓̅" * 30,
    "W" * 3_000,
)  # fmt: skip
EVERYTHING = "\n".join(HOSTILE)


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


@pytest.fixture
def hostile(site: Site) -> list[str]:
    """Generations with the whole corpus in every field that takes text."""
    client = site.client
    client.feedback_type(
        "stars", "select", labels=[text[:100].replace("\0", "") for text in HOSTILE]
    )
    logged: list[str] = []
    for text in (*HOSTILE, EVERYTHING):
        data_id = client.log(
            inputs={text: text, "list": [text, {"deep": text}]},
            output=text,
            messages=[
                {"role": text, "content": text, text: text},
                {"role": "user", "content": [{"type": "text", "text": text}, {text: text}]},
            ],
            name=text,
            version=text,
            model=text,
            provider=text,
            user=text[:900],
            session=text,
            tags=[text],
            metadata={text: text},
            error={"type": text, "message": text},
        )
        reviewer = {"user": text[:900], "comment": text, "metadata": {text: text}}
        client.feedback(
            [
                {"data_id": data_id, "type": "correction", "value": text, **reviewer},
                {
                    "data_id": data_id,
                    "type": "comment",
                    "value": text,
                    **reviewer,
                    "source": "reviewer",
                },
                {"data_id": data_id, "type": "stars", "value": HOSTILE[0], **reviewer},
                {"data_id": data_id, "type": "rating", "value": "bad", **reviewer},
            ]
        )
        logged.append(data_id)
    assert client.flush(10)
    return logged


def test_hostile_text_in_every_field_runs_nothing(
    site: Site, page: Page, hostile: list[str]
) -> None:
    witness = Witness()
    witness.watch(page)
    addresses = [site.logs, *(site.generation(data_id) for data_id in hostile)]
    for address in addresses:
        page.goto(address)
        assert page.url == address
        for summary in page.locator("summary").all():
            if summary.is_visible():
                summary.click()
        # Whatever an attacker's element would be, it is not among ours.
        assert page.locator("main :is(script, style, iframe, img, link, base, meta)").count() == 0
        assert page.locator('[href^="javascript:"], [href^="data:"]').count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        # What is left in a form field is raw on purpose: it is sent back as it came.
        shown = page.evaluate(
            "[...document.querySelectorAll('main *')].flatMap(e => [...e.childNodes]"
            ".filter(n => n.nodeType == 3 && !e.closest('textarea')).map(n => n.data)).join('')"
        )
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]", shown)
    witness.assert_nothing_but(site.origin)


def test_a_refused_form_full_of_hostile_text_runs_nothing(
    site: Site, page: Page, hostile: list[str]
) -> None:
    witness = Witness()
    witness.watch(page)
    page.goto(site.generation(hostile[0]))
    page.evaluate("document.querySelector('input[name=rating]').value = '\"><svg onload=alert(1)>'")
    page.locator("input[name=rating]").first.check()
    page.get_by_role("textbox", name="comment").fill(EVERYTHING)
    page.get_by_label("Your name").fill(HOSTILE[5])
    page.get_by_role("button", name="Save review").click()
    expect(page.get_by_role("alert")).to_contain_text("<svg onload=alert(1)>")
    kept = page.get_by_role("textbox", name="comment").input_value()
    assert kept.count("<script>") == EVERYTHING.count("<script>")
    # Chromium itself notes any answer of 422 on the console.
    witness.console = [line for line in witness.console if "422" not in line]
    witness.assert_nothing_but(site.origin)


def test_hostile_text_in_the_address_runs_nothing(site: Site, page: Page) -> None:
    witness = Witness()
    witness.watch(page)
    site.client.log(inputs="x", output="y")
    names = ("text", "project", "feedback", "name", "version", "model", "user", "session")
    for text in (*HOSTILE, EVERYTHING):
        value = quote(text[:900], safe="")
        page.goto(f"{site.logs}?" + "&".join(f"{name}={value}" for name in names))
        expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
        page.goto(f"{site.logs}?status={value}&since={value}&after={value}")
        expect(page.get_by_role("alert")).to_be_visible()
        # Starlette's Mount itself lets no line break through.
        data_id = quote(text[:200].replace("\n", " "), safe="")
        page.goto(f"{site.logs}generations/{data_id}")
        expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    expected = ("404 (Not Found)", "422 (Unprocessable")
    witness.console = [line for line in witness.console if not any(e in line for e in expected)]
    witness.assert_nothing_but(site.origin)
