"""Which sites may post: this one, and those listed exactly (layer 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from afterword.asgi.refusals import Refused
from afterword.errors import ConfigError

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?\Z"
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def first_headers(request: Request) -> dict[str, str]:
    """The headers by name, of several of one name the first: one pass, for who asks for many."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in reversed(request.headers.raw)
    }


def check_origins(origins: Sequence[str]) -> frozenset[str]:
    """The origins as browsers write them: a default port is left out.

    Raises:
        ConfigError: one is not a scheme, a host and at most a port.
    """
    if isinstance(origins, str):
        raise ConfigError("origins must be a list of origins")
    return frozenset(map(_checked, origins))


def _checked(origin: Any) -> str:
    found = _ORIGIN.match(origin) if isinstance(origin, str) else None
    if found is None or int(found["port"] or 0) > 65_535:
        raise ConfigError(
            f"origins: {origin!r:.100} is no origin such as 'https://app.example.com'"
        )
    return found[0].removesuffix(_DEFAULT_PORTS.get(found["scheme"], ""))


def check_origin(
    request: Request, origins: frozenset[str], headers: Mapping[str, str] | None = None
) -> None:
    """Let pass what comes from this site, from the origins listed, and from no browser at all.

    Raises:
        Refused: 403, for every other one.
    """
    headers = first_headers(request) if headers is None else headers
    origin = headers.get("origin")
    if origin is None:
        if headers.get("sec-fetch-site") == "cross-site" and not origins:
            raise Refused(403, "cross-site requests are not allowed here")
    elif origin not in origins and origin not in _own_origins(request):
        raise Refused(403, "this origin may not post here")


def is_cross_site(request: Request) -> bool:
    """Whether a page of another site posts a form that only a page of this one has.

    A page that tells no referrer posts its own forms with the origin `null`, as the Fetch standard
    says; there `Sec-Fetch-Site` tells, which no page can set.
    """
    origin = request.headers.get("origin", "null")
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return True
    return origin != "null" and origin not in _own_origins(request)


def cors_headers(origin: str) -> Mapping[str, str]:
    """What lets the pages of one other site post and read the answer; never with credentials."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Expose-Headers": "Retry-After",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }


def _own_origins(request: Request) -> set[str]:
    # Behind a proxy that ends TLS the scope says http while the page is https. The other way
    # round is no same origin: a page sent in the clear must not speak for a secure site.
    host = request.headers.get("host", "").lower()
    if not host:
        return set()
    schemes = {request.scope.get("scheme", "http"), "https"}
    return {f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ''))}" for scheme in schemes}
