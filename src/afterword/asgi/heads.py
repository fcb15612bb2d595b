"""The start of a response: whether it announces a generation, and the headers that do (layer 5).

Every response of an app goes through here, so what most of them need is done in few steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import Message, Scope

from afterword.context import Trail

DATA_ID_HEADER = "Afterword-Data-Id"
TOKEN_HEADER = "Afterword-Feedback-Token"  # noqa: S105 - a header's name

Header = tuple[bytes, bytes]

_DATA_ID, _TOKEN = (name.lower().encode() for name in (DATA_ID_HEADER, TOKEN_HEADER))
CONTENT_LENGTH = b"content-length"
_EXPOSE = b"access-control-expose-headers"
_ALLOW_ORIGIN = b"access-control-allow-origin"
_CACHE_CONTROL = b"cache-control"
_FORBIDDING = frozenset((_DATA_ID, _TOKEN, _CACHE_CONTROL))


def told_by(headers: Sequence[Header]) -> dict[bytes, bytes]:
    """The headers by their names in lower case; the values of one name are joined."""
    told = dict(headers)
    if len(told) == len(headers) and b"".join(told).islower():
        return told
    told = {}
    for name, value in headers:
        lower = name.lower()
        before = told.get(lower)
        told[lower] = value if before is None else before + b"," + value
    return told


def announceable(
    message: Message, scope: Scope, told: dict[bytes, bytes], trail: Trail
) -> str | None:
    """The data ID to announce; None when there is none, or the response is none that clients see fresh.

    What the app has announced itself stays.
    """
    status = message["status"]
    if status < 200 or status in (204, 304) or scope["method"] == "HEAD":
        return None
    if not _FORBIDDING.isdisjoint(told) and (
        _DATA_ID in told or _TOKEN in told or _is_shared(told[_CACHE_CONTROL])
    ):
        return None
    if CONTENT_LENGTH in told:
        return trail.last
    return trail.upcoming or trail.last or trail.reserve()


def announcing(
    message: Message, scope: Scope, told: dict[bytes, bytes], data_id: str, token: str | None
) -> Message:
    """The message with our headers, for pages of other origins too."""
    headers = [*message.get("headers", ()), (_DATA_ID, data_id.encode("ascii"))]
    if token is not None:
        headers.append((_TOKEN, token.encode("ascii")))
    # A CORS middleware outside of this one adds its headers later.
    asked = dict(scope["headers"])
    origin = asked.get(b"origin")
    is_foreign = origin is not None and origin.partition(b"://")[2] != asked.get(b"host")
    if is_foreign or _ALLOW_ORIGIN in told:
        _expose(headers, told.get(_EXPOSE, b""))
    return {**message, "headers": headers}


def _is_shared(control: bytes) -> bool:
    """Whether a shared cache may give the response to others, by RFC 9111."""
    directives: dict[bytes, bytes] = {}
    for part in control.lower().split(b","):
        directive, _, argument = part.strip().partition(b"=")
        directives[directive] = argument.strip(b'"')
    if b"no-store" in directives or directives.get(b"private") == b"":
        return False
    lasting = directives.get(b"max-age", b"").strip(b"0 ") != b""
    return lasting or not directives.keys().isdisjoint((b"public", b"s-maxage", b"immutable"))


def _expose(headers: list[Header], exposed: bytes) -> None:
    """Name our headers among those that pages of other origins may read."""
    named = {name.strip() for name in exposed.lower().split(b",")}
    # A star is no wildcard on requests with credentials, so ours are named beside it.
    missing = [
        name for name in (DATA_ID_HEADER, TOKEN_HEADER) if name.lower().encode() not in named
    ]
    if missing:
        added = ", ".join(missing).encode()
        for place, (name, value) in enumerate(headers):
            if name.lower() == _EXPOSE:
                headers[place] = (name, value + b", " + added)
                return
        headers.append((_EXPOSE, added))
