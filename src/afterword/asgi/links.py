"""One-tap links for mail and chat: a page with one button, and only the button records (layer 5).

The token is of its own kind, ``ow1.<kid>.<payload>.<mac>``, our own format: payload a msgpack array
in unpadded base64url, MAC the first 16 bytes of an HMAC-SHA256 (truncated as RFC 2104 §5 allows,
since the link should be short) with a key derived for this one purpose. It names one generation,
one type and one value, and is no use as a feedback token, nor the other way round. Since it
travels in a URL, it holds no name of a user, and asking for the page changes nothing: scanners
that follow links in mail find out what a press would say and no more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from afterword.asgi.limits import Limits, Rates, address_of
from afterword.asgi.origins import is_cross_site
from afterword.asgi.tokens import (
    MAX_TTL_S,
    SKEW_S,
    Keyring,
    base64_of,
    bytes_of,
    digest,
    long_id,
    short_id,
    subject_of,
)
from afterword.client import Client
from afterword.context import current_trail
from afterword.default import default_client
from afterword.errors import (
    ConfigError,
    DeliveryError,
    InvalidInput,
    NoGenerationInContext,
    StoreError,
    TokenRejected,
)

DEFAULT_TTL_S = 14 * 86_400
MAX_CHARS = 400

_SHAPE = re.compile(r"ow1\.([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]{1,360})\.([A-Za-z0-9_-]{22})\Z")
_PURPOSE = b"afterword one-tap-link/1"
_MAC_BYTES = 16
_NO_SECRET = b"no such key"

Value = str | bool | int | float


class _Payload(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What is signed, in its order on the wire. A UUID travels as its 16 bytes."""

    audience: Literal["tap"]
    project: str
    data_id: Any
    type: str
    value: Value
    subject: bytes
    bound: bool
    expires_s: int


_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.Decoder(_Payload).decode


@dataclass(frozen=True, slots=True)
class Tap:
    """What a press of the button says: this value of this type about this generation.

    `bound` is true when the subject is a known user's. Times are seconds since 1970.
    """

    key_id: str
    project: str
    data_id: str
    type: str
    value: Value
    subject: str
    bound: bool
    expires_s: int


def link(
    data_id: str,
    type: str,
    value: Value,
    user: str | None = None,
    *,
    base_url: str,
    ttl_s: int = DEFAULT_TTL_S,
    client: Client | None = None,
) -> str:
    """A URL for a mail or a chat message that lets its reader say one thing with one press.

    Opening it shows a page with one button; only the button records. `data_id` may be an alias.
    `user` is who will say it; the URL does not name them, and nobody whom the middleware knows as
    somebody else can use it. Left out, all links of a generation speak for one unnamed reader.
    `base_url` is where the feedback routes are mounted, such as
    ``https://app.example.com/feedback``. The link works for `ttl_s` seconds: 14 days when left
    out, 30 at most. `client` defaults to the default client.

    Reads the store, so it may block; safe from any thread.

    Raises:
        FeedbackRejected: the project has no such type, or the type no such value.
        InvalidInput: `base_url`, `ttl_s` or the value cannot be part of a link.
        ConfigError: there is no secret to sign with.
        StoreError: the store cannot be read.
    """
    client = client or default_client()
    base = _checked_base(base_url)
    _check_given(value, ttl_s)
    keyring = client.keyring()
    if not keyring:
        raise ConfigError("no feedback secret is configured: set AFTERWORD_SECRET to kid:secret")
    ((row,),) = client.desk.rows(
        [{"data_id": data_id, "type": type, "value": value}],
        default_data_id=_no_default,
        listed=False,
    )
    kind, name = ("user", user) if user is not None else ("link", row.data_id)
    subject = subject_of(keyring, keyring[0][0], kind, name)
    assert subject is not None
    tap = Tap(
        key_id=keyring[0][0],
        project=row.project,
        data_id=row.data_id,
        type=type,
        value=value,
        subject=subject,
        bound=user is not None,
        expires_s=int(time.time()) + ttl_s,
    )
    return f"{base}/tap/{mint(keyring, tap)}"


def mint(keyring: Keyring, tap: Tap) -> str:
    """The token of a link, signed with the newest key.

    Raises:
        InvalidInput: it would have more than 400 characters, or the value cannot be encoded.
    """
    payload = _Payload(
        audience="tap",
        project=tap.project,
        data_id=short_id(tap.data_id),
        type=tap.type,
        value=tap.value,
        subject=bytes_of(tap.subject),
        bound=tap.bound,
        expires_s=tap.expires_s,
    )
    key_id, secret = keyring[0]
    try:
        signed = f"ow1.{key_id}.{base64_of(_pack(payload))}"
    except (ValueError, OverflowError):
        raise InvalidInput("this value cannot be part of a link", field="value") from None
    token = f"{signed}.{_mac(secret, signed)}"
    if len(token) > MAX_CHARS:
        raise InvalidInput(
            f"the token of a link has at most {MAX_CHARS} characters: shorten the value",
            field="value",
        )
    return token


def read(token: str, keyring: Keyring, *, now_s: int) -> Tap:
    """What a valid token of a link says.

    Raises:
        TokenRejected: it is not valid. There is one message, whatever the reason.
    """
    shape = _SHAPE.match(token) if len(token) <= MAX_CHARS else None
    if shape is None:
        raise TokenRejected
    key_id, payload, mac = shape.groups()
    secret = dict(keyring).get(key_id)
    expected = _mac(secret or _NO_SECRET, token[: shape.end(2)])
    if not hmac.compare_digest(mac, expected) or secret is None:
        raise TokenRejected
    try:
        said = _unpack(bytes_of(payload))
        data_id = long_id(said.data_id)
    except (ValueError, msgspec.MsgspecError):
        raise TokenRejected from None
    if now_s >= said.expires_s + SKEW_S:
        raise TokenRejected
    return Tap(
        key_id=key_id,
        project=said.project,
        data_id=data_id,
        type=said.type,
        value=said.value,
        subject=base64_of(said.subject),
        bound=said.bound,
        expires_s=said.expires_s,
    )


def _mac(secret: bytes, signed: str) -> str:
    return base64_of(digest(secret, _PURPOSE, signed.encode("ascii"))[:_MAC_BYTES])


def _check_given(value: Any, ttl_s: Any) -> None:
    if not isinstance(value, (str, bool, int, float)):
        raise InvalidInput("a link says one text, number, true or false", field="value")
    if type(ttl_s) is not int or not 0 < ttl_s <= MAX_TTL_S:
        raise InvalidInput(f"ttl_s must be a whole number from 1 to {MAX_TTL_S}", field="ttl_s")


def _checked_base(base_url: Any) -> str:
    try:
        parts = urlsplit(base_url if isinstance(base_url, str) else "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or re.search(r"[?#@\s\x00-\x1f\x7f]", base_url):
        raise InvalidInput(
            "base_url must be where the feedback routes are, such as https://example.com/feedback",
            field="base_url",
        )
    return str(base_url).rstrip("/")


def _no_default() -> str:
    raise NoGenerationInContext


class TapPage:
    """``GET`` and ``POST /tap/<token>``. For one event loop."""

    def __init__(
        self,
        client: Callable[[], Client],
        limits: Limits,
        rates: Rates,
        now_s: Callable[[], float],
    ) -> None:
        self._client = client
        self._limits = limits
        self._rates = rates
        self._now_s = now_s

    async def answered(self, request: Request) -> Response:
        """A page, whatever happens: the one that asks is a person."""
        try:
            if request.method not in ("GET", "HEAD", "POST"):
                return _page(405, "Nothing here", Allow="GET, HEAD, POST")
            return await self._answered(request)
        except (DeliveryError, StoreError) as error:
            self._client().faults.note("the page of a link", error)
            return _away()

    async def _answered(self, request: Request) -> Response:
        client = self._client()
        if client.has_keyring:
            keyring = client.keyring()
        else:
            keyring = await anyio.to_thread.run_sync(client.keyring)
        if not keyring:
            return _away()
        try:
            tap = read(request.path_params["token"], keyring, now_s=int(self._now_s()))
        except TokenRejected:
            return _no_link()
        user = _named()
        if user is not None and tap.bound and not _stands_for(tap, user, keyring):
            return _no_link()
        if request.method != "POST":
            return _asking(tap, without_body=request.method == "HEAD")
        # The page's own form sends `Origin: null`, for it tells no referrer.
        if is_cross_site(request):
            return _no_link()
        wait_s = self._wait_s(request, tap)
        if wait_s:
            return _page(429, "Too many at once", "<p>Please try again in a minute.</p>",
                         **{"Retry-After": str(max(1, round(wait_s + 0.5)))})  # fmt: skip
        if user is None and tap.bound:
            user = await anyio.to_thread.run_sync(self._addressee, tap, keyring)
        try:
            await client.rate(
                [{"data_id": tap.data_id, "type": tap.type, "value": tap.value}],
                listed=False,
                project=tap.project,
                subject=tap.subject,
                bound=tap.bound,
                user=user if tap.bound else None,
                issued_s=int(self._now_s()),
            )
        except InvalidInput:
            return _page(422, "This cannot be said any more")
        return _page(200, "Thank you", f"<p>Noted: {_words(tap)}</p>")

    def _addressee(self, tap: Tap, keyring: Keyring) -> str | None:
        """The user of the generation, when the link was made for them. A URL must not say it."""
        row = self._client().store.generation(tap.data_id, tap.project)
        user = None if row is None else row.user
        return user if user is not None and _stands_for(tap, user, keyring) else None

    def _wait_s(self, request: Request, tap: Tap) -> float:
        limits = self._limits
        address = address_of(request, limits)
        return (
            self._rates.wait_s("link", f"{tap.subject}{tap.data_id}", limits.per_token)
            or self._rates.wait_s("generation", tap.data_id, limits.per_generation)
            or (address and self._rates.wait_s("address", address, limits.per_address))
            or 0.0
        )


def _named() -> str | None:
    trail = current_trail()
    return None if trail is None else trail.user


def _stands_for(tap: Tap, user: str, keyring: Keyring) -> bool:
    return subject_of(keyring, tap.key_id, "user", user) == tap.subject


_STYLE = (
    ":root{color-scheme:light dark;font:1.125rem/1.5 system-ui,sans-serif}"
    "body{margin:0;min-height:100vh;display:grid;place-content:center;justify-items:center;"
    "text-align:center;padding:1rem;box-sizing:border-box;overflow-wrap:anywhere}"
    "button{font:inherit;padding:.75rem 2rem;border:2px solid;border-radius:.5rem;cursor:pointer}"
    "bdi{font-weight:600}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), "�")


def _page(status: int, title: str, content: str = "", **headers: str) -> Response:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>'
        f'{title}</title><meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>{content}</main></body></html>"
    )
    return Response(
        html.encode("utf-8", "replace"), status, {**_HEADERS, **headers}, "text/html; charset=utf-8"
    )


def _asking(tap: Tap, *, without_body: bool) -> Response:
    button = '<form method="post"><button>Send</button></form>'
    page = _page(200, "Your feedback", f"<p>{_words(tap)}</p>{button}")
    return Response(None, 200, page.headers) if without_body else page


def _no_link() -> Response:
    """One uniform answer for every link that may not be used."""
    return _page(403, "This link does not work", "<p>It may have expired.</p>")


def _away() -> Response:
    return _page(503, "Please try again", "<p>It could not be kept just now.</p>",
                 **{"Retry-After": "2"})  # fmt: skip


def _words(tap: Tap) -> str:
    """What the press says, as HTML. `bdi` keeps text of one direction from turning the rest."""
    value = {True: "yes", False: "no"}[tap.value] if isinstance(tap.value, bool) else tap.value
    return f"{_text(tap.type)}: {_text(value)}"


def _text(value: object) -> str:
    return f"<bdi>{escape(str(value).translate(_CONTROLS))}</bdi>"
