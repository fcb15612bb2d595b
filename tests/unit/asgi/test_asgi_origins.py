"""Origins: this site and those listed exactly; everything that only looks like them is refused."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from afterword.asgi.origins import check_origin, check_origins, cors_headers
from afterword.asgi.refusals import Refused
from afterword.errors import ConfigError

LISTED = check_origins(
    ["https://app.example.com", "http://localhost:3000", "https://b.example:8443",
     "capacitor://localhost", "http://[::1]:5173", "https://c.example:443"]
)  # fmt: skip


def passes(
    origin: str | None,
    *,
    host: str = "feedback.example",
    scheme: str = "https",
    site: str | None = None,
    origins: frozenset[str] = LISTED,
) -> bool:
    headers = [(b"host", host.encode("latin-1"))] if host else []
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    if site is not None:
        headers.append((b"sec-fetch-site", site.encode()))
    scope = {"type": "http", "method": "POST", "path": "/", "scheme": scheme, "headers": headers}
    try:
        check_origin(Request(scope), origins)
    except Refused as refusal:
        assert refusal.status == 403
        return False
    return True


@pytest.mark.parametrize(
    "origin",
    [
        "https://feedback.example",  # this site
        "https://app.example.com",
        "http://localhost:3000",
        "https://b.example:8443",
        "capacitor://localhost",
        "http://[::1]:5173",
        "https://c.example",  # its default port is never written
    ],
)
def test_this_site_and_the_listed_ones_may_post(origin: str) -> None:
    assert passes(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "https://evilapp.example.com",
        "https://xapp.example.com",
        "https://app.example.co",
        "https://app.example.comm",
        "https://app.example.com.",
        "https://app-example.com",
        "https://appXexample.com",
        "https://sub.app.example.com",
        "https://example.com",
        "http://app.example.com",  # another scheme
        "ftp://app.example.com",
        "https://app.example.com:443",
        "https://app.example.com:8443",
        "https://app.example.com:80",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://app.example.com?x",
        "https://app.example.com#x",
        "https://app.example.com@evil.example",
        "https://evil.example@app.example.com",
        "https://evil.example/https://app.example.com",
        "https://app.example.com, https://evil.example",
        "https://app.example.com https://evil.example",
        " https://app.example.com",
        "https://app.example.com ",
        "https://app.example.com\t",
        "HTTPS://APP.EXAMPLE.COM",
        "https://App.example.com",
        "https://app.example.com\\.evil.example",
        "https://app%2eexample.com",
        "//app.example.com",
        "app.example.com",
        "http://localhost",
        "http://localhost:30000",
        "http://localhost:300",
        "http://127.0.0.1:3000",
        "https://localhost:3000",
        "https://b.example",
        "http://[::1]",
        "http://[::2]:5173",
        "http://feedback.example",  # this host, in the clear
        "https://feedback.example:8443",
        "https://sub.feedback.example",
        "https://feedback.example.evil.example",
        "https://feedback",
        "https://\xe4pp.example.com",
        "chrome-extension://abcdef",
        "file://",
        "javascript:alert(1)",
        "data:text/html,x",
        "blob:https://app.example.com/x",
    ],
)
def test_every_other_origin_is_refused(origin: str) -> None:
    assert not passes(origin)


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "expected"),
    [
        ("http://a.example", "a.example", "http", True),
        ("https://a.example", "a.example", "http", True),  # a proxy ended TLS
        ("http://a.example", "a.example", "https", False),
        ("http://a.example:8080", "a.example:8080", "http", True),
        ("http://a.example", "a.example:80", "http", True),
        ("https://a.example", "a.example:443", "https", True),
        ("http://a.example:80", "a.example:80", "http", False),  # no browser writes that
        ("http://a.example", "A.EXAMPLE", "http", True),
        ("http://a.example:8081", "a.example:8080", "http", False),
        ("http://a.example", "a.example:8080", "http", False),
        ("http://[::1]:8787", "[::1]:8787", "http", True),
        ("http://", "", "http", False),
        ("https://", "", "http", False),
        ("http://[", "[", "http", True),
        ("http://x", "[", "http", False),
        ("https://a.example", "a.example", "odd", True),
        ("odd://b.example", "a.example", "odd", False),
    ],
)
def test_this_site_is_the_host_that_was_asked(
    origin: str, host: str, scheme: str, expected: bool
) -> None:
    assert passes(origin, host=host, scheme=scheme) is expected


@pytest.mark.parametrize(
    ("site", "origins", "expected"),
    [
        (None, frozenset[str](), True),  # not a browser
        ("same-origin", frozenset[str](), True),
        ("same-site", frozenset[str](), True),
        ("none", frozenset[str](), True),
        ("cross-site", frozenset[str](), False),
        ("cross-site", LISTED, True),
    ],
)
def test_without_an_origin_the_browser_may_still_say_that_it_is_another_site(
    site: str | None, origins: frozenset[str], expected: bool
) -> None:
    assert passes(None, site=site, origins=origins) is expected


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "", "app.example.com", "https://app.example.com/", "https://*.example.com",
     "https://app.example.com/path", "https://App.example.com", "https://app.example.com:65536",
     "https://app.example.com:", "https://user@app.example.com", "https://app.example.com?x",
     "file://", "https://", "//app.example.com", "https://app.example.com\n", "https://\xe4pp.example",
     None, 5, b"https://app.example.com"],
)  # fmt: skip
def test_what_is_no_origin_cannot_be_listed(origin: str) -> None:
    with pytest.raises(ConfigError, match="origins"):
        check_origins([origin])


def test_every_port_there_is_can_be_listed() -> None:
    assert check_origins(["http://a.example:65535"]) == {"http://a.example:65535"}


def test_one_origin_is_no_list_of_its_letters() -> None:
    with pytest.raises(ConfigError, match="list"):
        check_origins("https://app.example.com")


def test_cors_never_names_all_origins_nor_lets_cookies_through() -> None:
    headers = cors_headers("https://app.example.com")
    assert headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in headers
    assert "*" not in headers.values()
