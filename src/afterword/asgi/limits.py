"""Limits on what strangers may send, on by default (layer 5)."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from afterword.errors import ConfigError

_KEYS_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the feedback routes.

    Sizes are bytes and characters, rates are requests a minute; a rate of 0 is no limit.
    `trusted_proxies` are the networks (CIDR) whose X-Forwarded-For is believed.
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
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ConfigError(f"trusted_proxies: {error}") from None


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


def address_of(request: Request, limits: Limits) -> str:
    """The client's address; of IPv6 the /64, since one client has all of it."""
    host = request.client.host if request.client else ""
    if limits.trusted_proxies:
        networks = [ipaddress.ip_network(network) for network in limits.trusted_proxies]
        hops = request.headers.get("x-forwarded-for", "").split(",")
        while hops and _is_within(host, networks):
            hop = hops.pop().strip()
            if _parsed(hop) is None:
                break
            host = hop
    parsed = _parsed(host)
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return host


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_within(host: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    parsed = _parsed(host)
    return parsed is not None and any(parsed in network for network in networks)
