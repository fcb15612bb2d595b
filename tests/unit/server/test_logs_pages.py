"""The Logs pages, in process, over real stores: what they show and how they fail."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from server_calls import HOST, hrefs, log, review
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.errors import DeliveryError, StoreUnavailable
from afterword.server import create_app
from afterword.server.security import CONTENT_SECURITY_POLICY


def test_an_empty_store_tells_how_to_log_the_first_generation(web: TestClient) -> None:
    page = web.get("")
    assert page.status_code == 200
    assert "@afterword.generation" in page.text


def test_every_link_of_every_page_stays_below_the_mount(
    web: TestClient, client: Client, root: str
) -> None:
    data_id = log(client, user="u", version="v", parent_id="p-1")
    client.feedback(data_id, "rating", "good", user="Ana", source="reviewer")
    prefix = root.replace(" ", "%20")
    for path in ("", "?user=u", f"generations/{data_id}", "generations/unknown"):
        page = web.get(path)
        for href in hrefs(page.text):
            assert href.startswith((f"{prefix}/", "#main")), href
            if "/feedback" not in href and "p-1" not in href and href != "#main":
                assert web.get(HOST + href).status_code == 200, href


def test_the_list_shows_the_newest_first_with_its_feedback(web: TestClient, client: Client) -> None:
    log(client, inputs={"question": "First?"})
    second = log(client, inputs={"question": "Second?"})
    client.feedback(second, "rating", "bad", user="user_1")
    page = web.get("").text
    assert page.index("Second?") < page.index("First?")
    assert "rating" in page
    assert "(negative)" in page


def test_a_list_is_read_to_its_end_page_by_page(plain_web: TestClient, client: Client) -> None:
    logged = [log(client) for _ in range(120)]
    seen: list[str] = []
    href = "/"
    while href:
        page = plain_web.get(href).text
        seen += re.findall(r'href="/generations/([^"]+)"', page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        href = html.unescape(found.group(1)) if found else ""
    assert seen == logged[::-1]


def test_each_filter_narrows_the_list(plain_web: TestClient, client: Client) -> None:
    wanted = log(
        client, project="other", inputs={"question": "needle"}, name="fn", version="v2",
        model="m-2", user="u-2", session="s-2", error="ValueError: broken",
    )  # fmt: skip
    client.feedback(wanted, "rating", "bad", user="u-2")
    other = log(client, name="gn", created_at="2020-01-01T00:00:00")
    client.feedback(other, "rating", "good", user="u-1")
    for query in (
        "project=other", "text=needle", "name=fn", "version=v2", "model=m-2", "user=u-2",
        "session=s-2", "status=error", "since=2024-01-01T00:00", "feedback=rating:bad",
        "sentiment=negative",
    ):  # fmt: skip
        page = plain_web.get(f"/?{query}").text
        assert wanted in page, query
        assert other not in page, query
    page = plain_web.get("/?until=2024-01-01T00:00").text
    assert other in page
    assert wanted not in page
    page = plain_web.get("/?feedback=rating").text
    assert other in page
    assert wanted in page


def test_a_filter_that_nothing_fits_says_so(plain_web: TestClient, client: Client) -> None:
    log(client)
    page = plain_web.get("/?user=nobody").text
    assert "Nothing matches" in page


@pytest.mark.parametrize("query", ["status=fine", "since=yesterday", "after=broken"])
def test_a_filter_that_makes_no_sense_is_answered_422(
    plain_web: TestClient, client: Client, query: str
) -> None:
    page = plain_web.get(f"/?{query}")
    assert page.status_code == 422
    assert "must be" in page.text
    assert 'role="alert"' in page.text


def test_a_generation_is_shown_with_everything_known_of_it(
    plain_web: TestClient, client: Client
) -> None:
    parent = log(client)
    data_id = log(
        client, name="support.answer", version="v7", model="m-1", provider="openai",
        messages=[{"role": "user", "content": "Why?"}],
        usage={"input_tokens": 1234, "output_tokens": 5},
        cost_usd=0.0042, duration_s=1.5, parent_id=parent, user="user_1", session="sess_1",
        tags=["beta"], metadata={"route": "/chat"}, error="ValueError: it broke",
    )  # fmt: skip
    page = plain_web.get(f"/generations/{data_id}").text
    for shown in (
        data_id, "support.answer", "v7", "m-1", "openai", "Why?", "1,234", "$0.0042", "1.5 s",
        parent, "user_1", "sess_1", "beta", "/chat", "it broke", "How?", "So.",
    ):  # fmt: skip
        assert shown in page, shown


def test_the_history_is_shown_oldest_first_retractions_included(
    plain_web: TestClient, client: Client
) -> None:
    data_id = log(client)
    client.feedback(data_id, "rating", "good", user="user_1", comment="Fine at first.")
    client.feedback(data_id, "rating", unset=True, user="user_1")
    client.feedback(data_id, "rating", "bad", user="user_1")
    history = plain_web.get(f"/generations/{data_id}").text.partition("History")[2]
    places = [history.index(text) for text in ("Fine at first.", "took back", ">bad<")]
    assert places == sorted(places)
    assert history.count(">current<") == 1


def test_an_unknown_data_id_is_a_friendly_404(web: TestClient, client: Client) -> None:
    for path in ("generations/unknown", "generations/%3Cscript%3E", "elsewhere"):
        page = web.get(path)
        assert page.status_code == 404
        assert "Go to the logs" in page.text
        assert "<script" not in page.text
    assert review(web, "unknown", rating="good").status_code == 404
    assert client.get("unknown") is None


def test_feedback_without_its_generation_is_shown_as_waiting(
    plain_web: TestClient, client: Client
) -> None:
    client.feedback("early-1", "rating", "good", user="user_1")
    assert "waiting" in plain_web.get("/").text
    page = plain_web.get("/generations/early-1").text
    assert "has not arrived" in page
    assert review(plain_web, "early-1", rating="bad").status_code == 303
    log(client, data_id="early-1")
    generation = client.get("early-1")
    assert generation is not None
    assert [found.value for found in generation.feedback] == ["good", "bad"]


def test_every_page_and_error_carries_the_security_headers(
    web: TestClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_id = log(client)
    pages = [
        web.get(""),
        web.head(""),
        web.get(f"generations/{data_id}"),
        web.get("generations/unknown"),
        web.get("static/unknown.css"),
        web.put(f"generations/{data_id}"),
        review(web, data_id, rating="good"),
        review(web, data_id),
        web.post(f"generations/{data_id}/feedback"),
    ]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(client, "projects", fail)
    broken = web.get("")
    assert broken.status_code == 500
    assert "canary" not in broken.text
    for page in [*pages, broken]:
        assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["cross-origin-resource-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"


def test_the_stylesheet_may_be_kept_and_changes_its_address_with_its_content(
    plain_web: TestClient,
) -> None:
    address = next(href for href in hrefs(plain_web.get("/").text) if "logs.css" in href)
    sheet = plain_web.get(address)
    assert re.search(r"\?v=[0-9a-f]{12}$", address)
    assert sheet.headers["content-type"].startswith("text/css")
    assert sheet.headers["cache-control"] == "public, max-age=86400"
    again = plain_web.get(address, headers={"If-None-Match": sheet.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["cache-control"] == "public, max-age=86400"


def test_no_page_holds_a_script_or_an_inline_style(plain_web: TestClient, client: Client) -> None:
    data_id = log(client)
    client.feedback(data_id, "rating", "good", user="u")
    for path in ("/", f"/generations/{data_id}", "/generations/unknown"):
        page = plain_web.get(path).text.lower()
        assert "<script" not in page
        assert "<style" not in page
        assert " style=" not in page
        assert not re.search(r"<[^>]* on[a-z]+=", page)


def test_a_store_that_is_away_is_a_plain_503_with_the_reason(
    plain_web: TestClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_id = log(client)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("cannot open postgresql://me:secret@db/<x>")

    monkeypatch.setattr(client, "feedback", away)
    pages = [review(plain_web, data_id, rating="good")]
    monkeypatch.setattr(client, "generations", away)
    monkeypatch.setattr(client, "get", away)
    pages += [plain_web.get("/"), plain_web.get(f"/generations/{data_id}")]
    for page in pages:
        assert page.status_code == 503
        assert "cannot open postgresql://…@db/&lt;x&gt;" in page.text


def test_a_file_that_is_no_database_is_a_503(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    path.write_bytes(b"not a database" * 1000)
    client = Client(f"sqlite:///{path}")
    try:
        page = TestClient(create_app(client), base_url=HOST).get("/")
        assert page.status_code == 503
        assert "database" in page.text
    finally:
        client.close()


def test_feedback_the_store_did_not_take_is_a_503(
    plain_web: TestClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_id = log(client)

    def refuse(*_: object) -> None:
        raise DeliveryError

    monkeypatch.setattr(client, "feedback", refuse)
    assert review(plain_web, data_id, rating="good").status_code == 503


def test_a_huge_output_is_cut_with_a_note(plain_web: TestClient, client: Client) -> None:
    data_id = log(client, output="word " * 40_000)
    page = plain_web.get(f"/generations/{data_id}").text
    assert "characters are not shown on this page" in page
    assert len(page) < 200_000


def test_hidden_characters_are_visible_in_text_titles_and_attributes(
    plain_web: TestClient, client: Client
) -> None:
    data_id = log(client, name="pay\u202elap", user="a\u200bb", output="x\x1b[31m")
    for path in ("/", f"/generations/{data_id}"):
        page = plain_web.get(path).text
        body = re.sub(r"<textarea.*?</textarea>", "", page, flags=re.DOTALL)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x1b]", body)
        assert "\\u202e" in page
        assert '<span class="ctl"' in page


def test_without_a_client_the_default_one_is_used(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterword.server.pages.views.default_client", lambda: client)
    data_id = log(client)
    assert data_id in TestClient(create_app()).get("/").text
