"""One-tap links: only a press of the button records, and only what the link says."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from feedback_desk import NOW_S, UNLIMITED, Clock, Desk
from hypothesis import given
from hypothesis import strategies as st

from afterword import Client
from afterword.asgi import Limits, link, links, tokens
from afterword.errors import ConfigError, FeedbackRejected, InvalidInput, TokenRejected
from afterword.ids import new_id

BASE = "https://site.example/feedback"
RING = (("k1", b"0123456789abcdef0123456789abcdef"),)
FROM_ITS_PAGE = {"origin": "null", "sec-fetch-site": "same-origin"}


@pytest.fixture
def desk(client: Client) -> Desk:
    return Desk(client, limits=UNLIMITED)


def path(url: str) -> str:
    assert url.startswith(f"{BASE}/tap/")
    return urlsplit(url).path


def made(client: Client, data_id: str, value: Any = "good", **more: Any) -> str:
    return path(link(data_id, more.pop("type", "rating"), value, client=client,
                     base_url=BASE, **more))  # fmt: skip


def pressed(desk: Desk, path: str, **headers: str) -> Any:
    return desk.http.post(path, headers={**FROM_ITS_PAGE, **headers}, follow_redirects=False)


def said(desk: Desk, data_id: str) -> list[Any]:
    desk.client.flush()
    found = desk.client.get(data_id)
    return [] if found is None else [feedback.value for feedback in found.feedback]


def tap(**changes: Any) -> links.Tap:
    fields: dict[str, Any] = {
        "key_id": "k1",
        "project": "web",
        "data_id": new_id(),
        "type": "rating",
        "value": "good",
        "subject": tokens.subject_of(RING, "k1", "user", "ada"),
        "bound": True,
        "expires_s": NOW_S + 60,
    }
    return links.Tap(**{**fields, **changes})


# ------------------------------------------------------------------ pressing


@pytest.fixture(autouse=True)
def _of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links.time, "time", Clock(NOW_S))


def test_a_press_records_what_the_link_says(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.")
    response = pressed(desk, made(desk.client, data_id))
    assert response.status_code == 200
    assert "Thank you" in response.text
    (kept,) = desk.kept(data_id).feedback
    assert (kept.type, kept.value, kept.source, kept.user) == ("rating", "good", "end_user", None)


def test_looking_changes_nothing_however_often_and_by_whatever_method(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.")
    where = made(desk.client, data_id)
    scanners = ({}, {"sec-purpose": "prefetch"}, {"purpose": "prefetch"}, {"x-moz": "prefetch"})
    for headers in scanners:
        for method in ("GET", "HEAD"):
            response = desk.http.request(method, where, headers=headers)
            assert response.status_code == 200
            assert bool(response.content) == (method == "GET")
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        response = desk.http.request(method, where)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")
    assert said(desk, data_id) == []
    assert desk.kept(data_id).feedback_history == []


def test_the_button_of_the_page_posts_to_the_page_itself(desk: Desk) -> None:
    response = desk.http.get(made(desk.client, new_id()))
    forms = re.findall(r"<form[^>]*>", response.text)
    assert forms == ['<form method="post">']
    assert response.text.count("<button>") == 1
    assert "<script" not in response.text


def test_another_press_is_the_same_row_and_another_link_replaces_it(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.")
    good, bad = (made(desk.client, data_id, value) for value in ("good", "bad"))
    for _ in range(3):
        assert pressed(desk, good).status_code == 200
    assert len(desk.kept(data_id).feedback_history) == 1
    assert pressed(desk, bad).status_code == 200
    assert said(desk, data_id) == ["bad"]


def test_values_of_every_kind_that_a_link_can_say_are_recorded(desk: Desk) -> None:
    desk.client.feedback_type("stars", "number", minimum=1, maximum=5, signal="explicit")
    desk.client.feedback_type("solved", "boolean", signal="explicit")
    for type, value, shown in (
        ("stars", 4, "4"),
        ("solved", False, "no"),
        ("issue", "too_long", "too_long"),
        ("comment", "fine", "fine"),
    ):
        data_id = new_id()
        where = made(desk.client, data_id, value, type=type)
        assert f"<bdi>{shown}</bdi>" in desk.http.get(where).text
        assert pressed(desk, where).status_code == 200
        assert said(desk, data_id) == [value]


def test_the_user_of_the_generation_is_recorded_and_not_named_in_the_url(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.", user="ada@example.com")
    where = made(desk.client, data_id, user="ada@example.com")
    desk.client.flush()
    raw = tokens.bytes_of(where.split(".")[-2])
    assert b"ada" not in raw
    assert pressed(desk, where).status_code == 200
    assert [kept.user for kept in desk.kept(data_id).feedback] == ["ada@example.com"]


def test_somebody_else_stays_a_pseudonym_that_is_theirs_alone(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.", user="ada")
    for reviewer, value in (("bob", "good"), ("eve", "bad"), ("bob", "bad")):
        assert pressed(desk, made(desk.client, data_id, value, user=reviewer)).status_code == 200
    kept = desk.kept(data_id).feedback
    assert [row.user for row in kept] == [None, None]
    assert [row.value for row in kept] == ["bad", "bad"]
    assert len({row.subject for row in kept}) == 2


def test_a_link_of_one_user_is_no_use_to_another_who_is_logged_in(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.", user="ada")
    where = made(desk.client, data_id, user="ada")
    desk.user = "bob"
    assert desk.http.get(where).status_code == 403
    assert pressed(desk, where).status_code == 403
    assert said(desk, data_id) == []
    desk.user = "ada"
    assert pressed(desk, where).status_code == 200
    assert [kept.user for kept in desk.kept(data_id).feedback] == ["ada"]


def test_a_link_and_the_page_of_one_user_speak_for_one_rater(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.", user="ada")
    desk.user = "ada"
    token = desk.token(data_id, user="ada")
    assert desk.post(token=token, type="rating", value="good").status_code == 202
    desk.user = None
    assert pressed(desk, made(desk.client, data_id, "bad", user="ada")).status_code == 200
    assert said(desk, data_id) == ["bad"]


def test_an_alias_may_name_the_generation(desk: Desk) -> None:
    data_id = desk.client.log(output="An answer.")
    desk.client.alias("C042:171", data_id)
    assert pressed(desk, made(desk.client, "C042:171")).status_code == 200
    assert said(desk, data_id) == ["good"]


# ------------------------------------------------------------------ what is refused


def test_a_form_of_another_site_is_refused(desk: Desk) -> None:
    data_id = new_id()
    where = made(desk.client, data_id)
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"origin": "https://site.example.evil.example"},
    ):
        assert pressed(desk, where, **headers).status_code == 403
    assert said(desk, data_id) == []
    assert desk.http.post(where).status_code == 200
    assert desk.http.post(where, headers={"origin": "https://site.example"}).status_code == 200


def test_every_bad_link_is_answered_with_the_same_bytes(desk: Desk) -> None:
    where = made(desk.client, new_id())
    desk.now.now_s += links.DEFAULT_TTL_S + tokens.SKEW_S
    folder = where.rpartition("/")[0]
    bad = [where, f"{folder}/x", f"{folder}/{'y' * 900}", f"{folder}/{desk.token()}"]
    for method in ("GET", "POST"):
        answers = [desk.http.request(method, one, headers=FROM_ITS_PAGE) for one in bad]
        assert {response.status_code for response in answers} == {403}
        assert len({response.content for response in answers}) == 1
        assert len({repr(response.headers) for response in answers}) == 1


def test_every_change_of_one_character_of_a_link_is_refused(desk: Desk) -> None:
    token = links.mint(RING, tap())
    links.read(token, RING, now_s=NOW_S)
    for place, character in enumerate(token):
        for other in "Ab0-_.%" + chr(ord(character) ^ 1):
            if other != character:
                with pytest.raises(TokenRejected):
                    links.read(f"{token[:place]}{other}{token[place + 1 :]}", RING, now_s=NOW_S)


def test_every_change_of_one_bit_of_a_link_is_refused() -> None:
    token = links.mint(RING, tap())
    for place in range(len(token) * 8):
        changed = bytearray(token.encode())
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(TokenRejected):
            links.read(changed.decode("latin-1"), RING, now_s=NOW_S)


@given(st.text(max_size=420) | st.binary(max_size=200).map(
    lambda raw: f"ow1.k1.{tokens.base64_of(raw)}.{'A' * 22}"))  # fmt: skip
def test_nothing_unsigned_is_ever_read_as_a_link(token: str) -> None:
    with pytest.raises(TokenRejected):
        links.read(token, RING, now_s=NOW_S)


@given(st.binary(max_size=200))
def test_no_signed_payload_makes_reading_a_link_fail_otherwise(raw: bytes) -> None:
    signed = f"ow1.k1.{tokens.base64_of(raw)}"
    try:
        links.read(f"{signed}.{links._mac(RING[0][1], signed)}", RING, now_s=NOW_S)
    except TokenRejected:
        pass


def test_a_link_is_no_feedback_token_nor_the_other_way_round(desk: Desk) -> None:
    where = made(desk.client, new_id())
    token = where.rpartition("/")[2]
    assert desk.post(token=token, type="rating", value="good").status_code == 403
    as_feedback = token.replace("ow1.", "aw1.")
    assert desk.post(token=as_feedback, type="rating", value="good").status_code == 403
    assert desk.mine(token) == {}
    assert desk.http.get(f"/feedback/tap/{desk.token()}").status_code == 403


def test_the_keys_of_links_and_tokens_differ_even_for_one_payload() -> None:
    text = b"k1.payload"
    assert tokens.digest(RING[0][1], links._PURPOSE, text) != tokens.digest(
        RING[0][1], b"afterword feedback-token/1", text
    )


def test_keys_of_links_rotate_and_retire() -> None:
    token = links.mint(RING, tap())
    newer = ("k2", b"another secret of thirty-two byte")
    assert links.read(token, (newer, *RING), now_s=NOW_S).key_id == "k1"
    for ring in ((newer,), (("k1", newer[1]),)):
        with pytest.raises(TokenRejected):
            links.read(token, ring, now_s=NOW_S)


def test_a_link_lives_until_its_expiry_give_or_take_the_skew() -> None:
    token = links.mint(RING, tap(expires_s=NOW_S))
    links.read(token, RING, now_s=NOW_S + tokens.SKEW_S - 1)
    with pytest.raises(TokenRejected):
        links.read(token, RING, now_s=NOW_S + tokens.SKEW_S)


def test_a_link_is_short(client: Client) -> None:
    url = link(new_id(), "rating", "good", user="ada@example.com", client=client, base_url=BASE)
    assert len(url) < 160
    assert re.fullmatch(r"[A-Za-z0-9._~/:-]+", url)


def test_links_have_their_rates(client: Client) -> None:
    desk = Desk(client, limits=Limits(per_token=2, per_generation=0, per_address=0))
    where = made(client, new_id())
    assert [pressed(desk, where).status_code for _ in range(3)] == [200, 200, 429]
    again = pressed(desk, where)
    assert int(again.headers["retry-after"]) >= 1
    assert desk.http.get(where).status_code == 200


# ------------------------------------------------------------------ the page


HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\x00\r\n\u202e</bdi><img src=x onerror=alert(1)>"


def test_hostile_text_is_only_text_on_the_page(desk: Desk) -> None:
    where = made(desk.client, new_id(), HOSTILE, type="comment")
    for page in (desk.http.get(where).text, pressed(desk, where).text):
        assert "<script" not in page
        assert "<img" not in page
        assert "\x1b" not in page
        assert "\x00" not in page
        (shown,) = re.findall(r"<bdi>comment</bdi>: <bdi>(.*?)</bdi>", page, re.DOTALL)
        assert html.unescape(shown).startswith("<script>alert(1)</script>\"'&")


def test_every_page_forbids_what_it_does_not_need(desk: Desk) -> None:
    where = made(desk.client, new_id())
    for response in (
        desk.http.get(where),
        pressed(desk, where),
        desk.http.get("/feedback/tap/x"),
        desk.http.put(where),
    ):
        headers = response.headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "noindex" in headers["x-robots-tag"]
        assert "set-cookie" not in headers
        assert "access-control-allow-origin" not in headers


# ------------------------------------------------------------------ making one


@pytest.mark.parametrize(
    "base",
    [
        "", "site.example/feedback", "/feedback", "javascript:alert(1)", "ftp://site.example",
        "https://", "https://site.example/?a", "https://site.example/#a", "https://a@b.example",
        "https://site.example/a b", "https://site.example/a\r\nX: y", "https://[", None,
    ],
)  # fmt: skip
def test_a_base_that_is_no_address_of_the_routes_is_refused(client: Client, base: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        link(new_id(), "rating", "good", client=client, base_url=base)
    assert caught.value.field == "base_url"


def test_a_slash_at_the_end_of_the_base_makes_no_difference(client: Client) -> None:
    url = link(new_id(), "rating", "good", client=client, base_url=f"{BASE}/")
    assert url.startswith(f"{BASE}/tap/ow1.")


@pytest.mark.parametrize(
    ("type", "value"), [("rating", "great"), ("nosuch", "good"), ("rating", 7), ("action", "x")]
)
def test_what_could_not_be_recorded_makes_no_link(client: Client, type: str, value: Any) -> None:
    with pytest.raises(FeedbackRejected):
        link(new_id(), type, value, client=client, base_url=BASE)


@pytest.mark.parametrize("value", [None, ["too_long"], {"a": 1}, b"good", "\ud800", "x" * 500])
def test_a_value_that_no_link_can_say_is_refused(client: Client, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        link(new_id(), "comment", value, client=client, base_url=BASE)
    assert caught.value.field == "value"


@pytest.mark.parametrize("ttl_s", [0, -1, True, 1.5, "60", 30 * 86_400 + 1])
def test_a_life_that_is_no_number_of_seconds_up_to_30_days_is_refused(
    client: Client, ttl_s: Any
) -> None:
    with pytest.raises(InvalidInput) as caught:
        link(new_id(), "rating", "good", client=client, base_url=BASE, ttl_s=ttl_s)
    assert caught.value.field == "ttl_s"


def test_without_a_secret_there_is_no_link_and_the_page_says_try_again(client: Client) -> None:
    where = made(client, new_id())
    desk = Desk(client)
    client.keyring = lambda: ()  # type: ignore[method-assign]
    with pytest.raises(ConfigError):
        link(new_id(), "rating", "good", client=client, base_url=BASE)
    assert desk.http.get(where).status_code == 503
    assert pressed(desk, where).status_code == 503
