"""Which sites may post: this one, and those listed exactly (layer 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from starlette.requests import Request

from afterword.asgi.bodies import Refused
from afterword.errors import ConfigError

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?\Z")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_origins(origins: Sequence[str]) -> frozenset[str]:
    """The origins as browsers write them.

    Raises:
        ConfigError: one is not a scheme, a host and at most a port.
    """
    if isinstance(origins, str):
        raise ConfigError("origins must be a list of origins")
    for origin in origins:
        if not isinstance(origin, str) or not _ORIGIN.match(origin):
            raise ConfigError(
                f"origins: {origin!r:.100} is not an origin such as https://app.example.com"
            )
    return frozenset(origins)


def allowed_origin(request: Request, origins: frozenset[str]) -> str | None:
    """The request's Origin when it may post, or None when a non-browser sent none.

    Raises:
        Refused: 403, for every other one.
    """
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site") == "cross-site" and not origins:
            raise Refused(403, "cross-site requests are not allowed here")
        return None
    if origin in origins or origin in _own_origins(request):
        return origin
    raise Refused(403, "this origin may not post here")


def cors_headers(origin: str) -> Mapping[str, str]:
    """What lets the pages of one other site post and read the answer; never with credentials."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }


def _own_origins(request: Request) -> set[str]:
    # Behind a proxy that ends TLS the scope says http while the page is https. The other way
    # round is no same origin: a page sent in the clear must not speak for a secure site.
    host = request.headers.get("host", "").lower()
    if not host:
        return set()
    schemes = {request.url.scheme, "https"}
    return {f"{scheme}://{host.removesuffix(_DEFAULT_PORTS[scheme])}" for scheme in schemes}
