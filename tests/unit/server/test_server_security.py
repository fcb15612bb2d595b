"""The security headers and the origin check."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from afterword.server.security import CONTENT_SECURITY_POLICY, SecurityHeaders, cross_site_reason


def reason(scheme: str = "http", **headers: str) -> str | None:
    return cross_site_reason(
        Headers({name.replace("_", "-"): value for name, value in headers.items()}), scheme
    )


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("logs.example", "http://logs.example"),
        ("logs.example", "https://logs.example"),
        ("logs.example:443", "https://logs.example"),
        ("logs.example", "http://logs.example:80"),
        ("127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("[::1]:8787", "http://[::1]:8787"),
        ("LOGS.example", "http://logs.EXAMPLE"),
    ],
)
def test_a_form_from_the_same_host_passes(host: str, origin: str) -> None:
    assert reason(host=host, origin=origin) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("logs.example", "http://evil.example"),
        ("logs.example", "http://logs.example.evil"),
        ("logs.example", "http://evil-logs.example"),
        ("logs.example", "http://sub.logs.example"),
        ("logs.example", "http://logs.example:8080"),
        ("logs.example:8787", "http://logs.example"),
        ("logs.example", "http://logs.example@evil.example"),
        ("logs.example", "http://evil.example#logs.example"),
        ("logs.example", "http://evil.example\\@logs.example"),
        ("logs.example", "null"),
        ("logs.example", "logs.example"),
        ("logs.example", "file://logs.example"),
        ("logs.example", "data:text/html,logs.example"),
        ("logs.example", "http://logs.example:99999"),
        ("logs.example", "http://[logs.example"),
        ("logs.example", "http://"),
        ("", "http://logs.example"),
        ("", "http://"),
        ("evil.example@logs.example", "http://logs.example"),
    ],
)
def test_a_form_from_another_origin_is_refused(host: str, origin: str) -> None:
    assert reason(host=host, origin=origin)


def test_the_referer_decides_where_no_origin_was_sent() -> None:
    assert reason(host="a.example", referer="http://a.example/generations/1?x=1") is None
    assert reason(host="a.example", referer="http://b.example/?a.example")


def test_a_matching_referer_does_not_excuse_a_foreign_origin() -> None:
    assert reason(host="a.example", origin="http://b.example", referer="http://a.example/")
    assert reason(host="a.example", origin="null", referer="http://a.example/")


def test_a_form_that_names_no_origin_at_all_is_refused() -> None:
    assert reason(host="a.example")


def test_a_form_the_browser_calls_cross_site_is_refused_whatever_it_names() -> None:
    assert reason(host="a.example", origin="http://a.example", sec_fetch_site="cross-site")
    assert reason(host="a.example", origin="http://a.example", sec_fetch_site="same-origin") is None


def test_two_origins_are_refused() -> None:
    headers = Headers(raw=[(b"host", b"a"), (b"origin", b"http://a"), (b"origin", b"http://b")])
    assert cross_site_reason(headers, "http")


def test_a_page_loaded_over_http_cannot_post_to_one_on_https() -> None:
    assert reason("https", host="a.example:80", origin="http://a.example")
    assert reason("https", host="a.example", origin="https://a.example") is None


def test_the_policy_is_the_one_written_down() -> None:
    assert CONTENT_SECURITY_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "object-src 'none'; require-trusted-types-for 'script'"
    )


@pytest.mark.anyio
async def test_only_http_gets_headers() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 1000})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    await SecurityHeaders(app)({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
