"""Limits: how often one may post, and who one is."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from starlette.requests import Request

from afterword.asgi import limits as module
from afterword.asgi.limits import Limits, Rates, address_of
from afterword.errors import ConfigError


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_so_many_pass_at_once_and_then_one_each_share_of_a_minute() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert [rates.wait_s("token", "a", 60) for _ in range(60)] == [0.0] * 60
    assert rates.wait_s("token", "a", 60) == pytest.approx(1.0)
    clock.now_s += 0.5
    assert rates.wait_s("token", "a", 60) == pytest.approx(0.5)
    clock.now_s += 0.5
    assert rates.wait_s("token", "a", 60) == 0.0
    assert rates.wait_s("token", "a", 60) == pytest.approx(1.0)


@pytest.mark.parametrize("per_minute", [1, 2, 7, 60, 120, 600])
def test_waiting_as_long_as_asked_is_enough_and_less_is_not(per_minute: int) -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(per_minute):
        assert rates.wait_s("k", "a", per_minute) == 0.0
    for _ in range(5):
        wait_s = rates.wait_s("k", "a", per_minute)
        clock.now_s += wait_s * 0.99
        assert rates.wait_s("k", "a", per_minute) > 0
        clock.now_s += wait_s * 0.01
        assert rates.wait_s("k", "a", per_minute) == 0.0


def test_no_minute_sees_more_than_twice_the_rate_and_no_hour_more_than_one_more() -> None:
    clock = Clock()
    rates = Rates(clock)
    passed = 0
    for _ in range(3600 * 4):
        passed += rates.wait_s("k", "a", 60) == 0.0
        clock.now_s += 0.25
    assert 3600 <= passed <= 3600 + 60


def test_a_refused_request_does_not_push_the_next_one_back() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert rates.wait_s("k", "a", 1) == 0.0
    assert {round(rates.wait_s("k", "a", 1), 6) for _ in range(1000)} == {60.0}
    clock.now_s += 60
    assert rates.wait_s("k", "a", 1) == 0.0


def test_keys_and_kinds_do_not_share_a_rate() -> None:
    rates = Rates(Clock())
    for kind, key in (("a", "x"), ("a", "y"), ("b", "x")):
        assert rates.wait_s(kind, key, 1) == 0.0
        assert rates.wait_s(kind, key, 1) > 0


def test_a_rate_of_0_is_no_limit() -> None:
    rates = Rates(Clock())
    assert not any(rates.wait_s("k", "a", 0) for _ in range(1000))


def test_a_million_addresses_take_bounded_memory_and_the_busy_one_stays_limited() -> None:
    clock = Clock()
    rates = Rates(clock)
    for number in range(200_000):
        clock.now_s += 0.0001
        rates.wait_s("address", f"2001:db8:{number:x}::/64", 600)
        if number % 1000 == 0:
            rates.wait_s("token", "busy", 10)
    assert rates.wait_s("token", "busy", 10) > 0
    kept = rates._due_s
    assert len(kept) <= module._KEYS_KEPT
    size_bytes = sys.getsizeof(kept) + sum(
        sys.getsizeof(key) + sys.getsizeof(key[1]) + sys.getsizeof(due) for key, due in kept.items()
    )
    assert size_bytes <= 20_000_000


def test_of_too_many_keys_the_one_not_seen_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_KEYS_KEPT", 3)
    rates = Rates(Clock())
    for key in ("a", "b", "c", "a", "d"):
        rates.wait_s("k", key, 2)
    assert [key for _, key in rates._due_s] == ["c", "a", "d"]


def request(
    host: str | None, *forwarded: str, headers: list[tuple[bytes, bytes]] | None = None
) -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "client": None if host is None else (host, 50000),
        "headers": headers or [(b"x-forwarded-for", line.encode()) for line in forwarded],
    }
    return Request(scope)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_is_the_ipv4_one_or_the_ipv6_network(host: str, address: str) -> None:
    assert address_of(request(host), Limits()) == address


@pytest.mark.parametrize("host", [None, ""])
def test_a_server_that_names_no_client_gives_no_address(host: str | None) -> None:
    assert address_of(request(host), Limits()) is None


def test_forwarded_for_is_not_believed_by_default() -> None:
    assert address_of(request("192.0.2.7", "198.51.100.1"), Limits()) == "192.0.2.7"


PROXIES = ("10.0.0.0/8", "2001:db8:ffff::/48")


@pytest.mark.parametrize(
    ("host", "forwarded", "address"),
    [
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the left one is hearsay
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # a line a proxy
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # it came past the proxies
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.5, 10.0.0.2"], "10.0.0.5"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:1:2::9]:4711"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ['"[2001:db8:1:2::9]"'], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:ffff::1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
    ],
)
def test_forwarded_for_is_believed_as_far_as_trusted_proxies_wrote_it(
    host: str, forwarded: list[str], address: str
) -> None:
    limits = Limits(trusted_proxies=PROXIES)
    assert address_of(request(host, *forwarded), limits) == address


def test_ten_thousand_hops_are_no_more_than_one() -> None:
    hops = ", ".join(["10.0.0.1"] * 10_000)
    assert address_of(request("10.0.0.1", hops), Limits(trusted_proxies=PROXIES)) == "10.0.0.1"


@pytest.mark.parametrize(
    "options",
    [
        {"trusted_proxies": ("10.0.0.0/33",)},
        {"trusted_proxies": ("proxy.internal",)},
        {"trusted_proxies": ("10.0.0.1/8",)},
        {"trusted_proxies": "10.0.0.0/8"},
        {"body_bytes": -1},
        {"per_token": -1},
        {"depth": "5"},
        {"read_timeout_s": 0},
        {"read_timeout_s": float("nan")},
        {"entries": 0},
    ],
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Limits(**options)


def test_proxies_given_as_one_text_are_told_to_be_a_list() -> None:
    with pytest.raises(ConfigError, match="list of networks"):
        Limits(trusted_proxies="10.0.0.0/8")  # type: ignore[arg-type]


def test_the_smallest_limits_are_limits() -> None:
    assert Limits(body_bytes=1, entries=1, text_chars=1, depth=1, read_timeout_s=0.1)


def test_the_defaults_are_those_that_are_published() -> None:
    assert Limits() == Limits(
        body_bytes=16_384,
        entries=50,
        text_chars=10_000,
        depth=5,
        read_timeout_s=5.0,
        per_token=60,
        per_generation=120,
        per_address=600,
        trusted_proxies=(),
    )
