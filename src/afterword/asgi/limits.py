"""Limits on what strangers may send, on by default (layer 5)."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from starlette.requests import Request

from afterword.errors import ConfigError

_KEYS_KEPT = 50_000

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the feedback routes.

    Sizes are bytes and characters, rates are requests a minute; a rate of 0 is no limit.
    `trusted_proxies` are the networks (CIDR) whose X-Forwarded-For is believed.

    Raises:
        ConfigError: a limit is not usable; the message names it.
    """

    body_bytes: int = 16_384
    entries: int = 50
    text_chars: int = 10_000
    depth: int = 5
    read_timeout_s: float = 5.0
    per_token: int = 60
    per_generation: int = 120
    per_address: int = 600
    trusted_proxies: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for name in ("body_bytes", "entries", "text_chars", "depth", "read_timeout_s"):
            _check_number(name, getattr(self, name), above=True)
        for name in ("per_token", "per_generation", "per_address"):
            _check_number(name, getattr(self, name), above=False)
        if isinstance(self.trusted_proxies, str):
            raise ConfigError("trusted_proxies must be a list of networks such as 10.0.0.0/8")
        try:
            _networks(tuple(self.trusted_proxies))
        except ValueError as error:
            raise ConfigError(f"trusted_proxies: {error}") from None


def _check_number(name: str, value: Any, *, above: bool) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not (value > 0 if above else value >= 0):
        raise ConfigError(f"{name} must be a number {'above' if above else 'from'} 0")


class Rates:
    """Counts requests by key, in bounded memory. One event loop at a time.

    The rule is GCRA: `per_minute` at once, then one each 60 / `per_minute` seconds.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._due_s: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wait_s(self, kind: str, key: str, per_minute: int) -> float:
        """0 when the request may pass, and it counts; else how long to wait, and it does not."""
        if per_minute <= 0:
            return 0.0
        now_s = self._clock_s()
        gap_s = 60.0 / per_minute
        due_s = max(self._due_s.get((kind, key), now_s), now_s)
        early_s = due_s + gap_s - now_s - 60.0
        if early_s > 1e-9:
            return early_s
        self._due_s[kind, key] = due_s + gap_s
        self._due_s.move_to_end((kind, key))
        if len(self._due_s) > _KEYS_KEPT:
            self._due_s.popitem(last=False)
        return 0.0


def address_of(request: Request, limits: Limits) -> str | None:
    """The client's address, of IPv6 the /64, since one client has all of it.

    None when the server names none, as on a Unix socket.
    """
    host = request.client.host if request.client else ""
    if limits.trusted_proxies:
        networks = _networks(tuple(limits.trusted_proxies))
        # Each proxy adds the address it saw on the right, on the same line or on one of its own.
        hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while hops and _is_within(host, networks):
            hop = _without_port(hops.pop().strip())
            if _parsed(hop) is None:
                break
            host = hop
    return _counted_as(host)


@lru_cache(maxsize=4096)
def _counted_as(host: str) -> str | None:
    parsed = _parsed(host)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed or host) or None


@lru_cache(maxsize=4096)
def _parsed(host: str) -> _Address | None:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, colon, _ = hop.partition(":")
    return host if colon and hop.count(":") == 1 else hop


def _is_within(host: str, networks: tuple[_Network, ...]) -> bool:
    parsed = _parsed(host)
    return parsed is not None and any(parsed in network for network in networks)


@lru_cache(maxsize=16)
def _networks(texts: tuple[str, ...]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)
