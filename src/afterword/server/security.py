"""What every page of the server says to browsers, and which posts it takes from them (layer 5)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CONTENT_SECURITY_POLICY", "SecurityHeaders", "cross_site_reason"]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'"
)

_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NAMES = frozenset(name for name, _ in _HEADERS)

_DEFAULT_PORTS = {"http": 80, "https": 443}


class SecurityHeaders:
    """ASGI middleware: every response, errors included, carries the security headers.

    ``Cache-Control: no-store`` is added unless the response says how it may be cached.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _secured(message.get("headers", ()))
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _secured(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name not in _NAMES]
    if not any(name == b"cache-control" for name, _ in kept):
        kept.append((b"cache-control", b"no-store"))
    return [*kept, *_HEADERS]


def cross_site_reason(headers: Headers, scheme: str) -> str | None:
    """Why a form post must be refused as coming from another site; None when it may pass.

    `Origin`, or `Referer` where a client sends no Origin, must name the host asked for. A
    missing pair is refused too: every browser that submits forms sends one of them. The scheme
    is held to only when the request itself came over https, because a proxy that ends TLS hides it.
    """
    if headers.get("sec-fetch-site") == "cross-site":
        return "The browser says this form was sent by another site."
    host = headers.get("host", "")
    source = headers.get("origin") or headers.get("referer")
    if source is None or len(headers.getlist("origin")) > 1:
        return "The request names no Origin, so it cannot be told from one sent by another site."
    origin = _origin(source)
    if origin is None:
        return "The request's Origin is not one of a web page."
    source_scheme, source_host, source_port = origin
    asked = _origin(f"{source_scheme}://{host}")
    if asked is None or asked[1:] != (source_host, source_port):
        return f"The form was sent from {source[:200]}, but this is {host[:200]}."
    if scheme == "https" and source_scheme != "https":
        return "The form was sent from a page that was not loaded over https."
    return None


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    if default_port is None or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port or default_port
