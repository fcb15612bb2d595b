"""Feedback tokens: ``aw1.<kid>.<payload>.<mac>`` (layer 5).

The format is our own (the design's §5). `aw1` fixes everything: payload a msgpack array in
unpadded base64url, MAC HMAC-SHA256 over the three parts before it, with a key derived by HKDF
(RFC 5869) for this one purpose. Nothing about it can be negotiated. A token is authority to give
feedback on the generations it names, and for nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from binascii import b2a_base64
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from uuid_utils import UUID

from afterword.errors import InvalidInput, TokenRejected

MAX_CHARS = 400
MAX_DATA_IDS = 8
MAX_TTL_S = 30 * 86_400
DEFAULT_TTL_S = 86_400
SKEW_S = 60

Keyring = Sequence[tuple[str, bytes]]

_SHAPE = re.compile(r"aw1\.([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]{1,400})\.([A-Za-z0-9_-]{43})\Z")
_SUBJECT_BYTES = 12
_DRAWN_AT_ONCE = 256
_MAC_CHARS = 43
_MAX_SIGNED_CHARS = MAX_CHARS - 1 - _MAC_CHARS
_NO_SECRET = b"no such key"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PURPOSE = b"afterword feedback-token/1"
#: As msgpack has them: an array of eight claims, and the two truths.
_CLAIMS, _TRUE, _FALSE = b"\x98", b"\xc3", b"\xc2"


class _Payload(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The signed claims, in their order on the wire. UUIDs travel as their 16 bytes."""

    audience: Literal["feedback"]
    project: str
    data_ids: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=MAX_DATA_IDS)]
    types: list[str] | None
    subject: bytes
    bound: bool
    issued_s: int
    expires_s: int


_random: deque[bytes] = deque()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=_random.clear
    )  # or a child would know its siblings' subjects

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Payload).decode


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. `bound` is true when the subject is a known user's.

    `types` is None when all are allowed. Times are seconds since 1970.
    """

    key_id: str
    project: str
    data_ids: tuple[str, ...]
    types: tuple[str, ...] | None
    subject: str
    bound: bool
    issued_s: int
    expires_s: int


def mint(
    keyring: Keyring,
    project: str,
    data_ids: Sequence[str],
    *,
    subject: str | bytes,
    bound: bool,
    types: Sequence[str] | None = None,
    now_s: int,
    ttl_s: int = DEFAULT_TTL_S,
) -> str:
    """A token for these generations, the one it is mainly about first.

    `subject` is text as claims have it, or the bytes that it stands for.

    IDs that do not fit into 400 characters are left out from the end.

    Raises:
        InvalidInput: not even the first one fits, with this project and these types.
    """
    key_id, secret = keyring[0]
    press = press_of(key_id, secret, project, None if types is None else tuple(types))
    rater = bytes_of(subject) if isinstance(subject, str) else subject
    return press.mint(data_ids, rater, bound, now_s, ttl_s)


class Press:
    """Mints the tokens of one project: what they have in common is made once."""

    __slots__ = ("_head", "_key", "_lead", "_span", "_types")

    def __init__(
        self, key_id: str, secret: bytes, project: str, types: tuple[str, ...] | None
    ) -> None:
        self._lead = f"aw1.{key_id}.".encode("ascii")
        self._head = _CLAIMS + _pack("feedback") + _pack(project)
        self._types = _pack(types)
        self._key = _keyed(secret, _PURPOSE)
        #: The present second, how long tokens last, and both as packed. Replaced whole, for other threads.
        self._span = (-1, 0, b"")

    def mint(
        self, data_ids: Sequence[str], subject: bytes, bound: bool, now_s: int, ttl_s: int
    ) -> str:
        """See the function of that name."""
        span = self._span
        if span[0] != now_s or span[1] != ttl_s:
            expires_s = now_s + min(ttl_s, MAX_TTL_S)
            self._span = span = (now_s, ttl_s, _pack(now_s) + _pack(expires_s))
        tail = self._types + _pack(subject) + (_TRUE if bound else _FALSE) + span[2]
        shorts = list(map(short_id, data_ids[:MAX_DATA_IDS]))
        while shorts:
            signed = self._lead + _base64(self._head + _pack(shorts) + tail)
            if len(signed) <= _MAX_SIGNED_CHARS:
                return (signed + b"." + _base64(_hmac(self._key, signed))).decode("ascii")
            shorts.pop()
        raise InvalidInput(
            f"a token has at most {MAX_CHARS} characters: name fewer types, or shorten the project",
            field="types",
        )


press_of = lru_cache(maxsize=256)(Press)


def read(token: object, keyring: Keyring, *, now_s: int) -> Claims:
    """The claims of a valid token.

    Raises:
        TokenRejected: it is not valid. There is one message, whatever the reason.
    """
    shape = _SHAPE.match(token) if isinstance(token, str) and len(token) <= MAX_CHARS else None
    if shape is None:
        raise TokenRejected
    assert isinstance(token, str)
    key_id, payload, mac = shape.groups()
    secret = dict(keyring).get(key_id)
    expected = _mac(secret or _NO_SECRET, token[: shape.end(2)])
    if not hmac.compare_digest(mac, expected) or secret is None:
        raise TokenRejected
    try:
        said = _unpack(bytes_of(payload))
        data_ids = tuple(long_id(data_id) for data_id in said.data_ids)
    except (ValueError, msgspec.MsgspecError):
        raise TokenRejected from None
    if now_s >= said.expires_s + SKEW_S or now_s < said.issued_s - SKEW_S:
        raise TokenRejected
    return Claims(
        key_id=key_id,
        project=said.project,
        data_ids=data_ids,
        types=None if said.types is None else tuple(said.types),
        subject=base64_of(said.subject),
        bound=said.bound,
        issued_s=said.issued_s,
        expires_s=said.expires_s,
    )


def subject_of(keyring: Keyring, key_id: str, kind: str, name: str) -> str | None:
    """The subject that stands for a user or a session; None when the key is gone."""
    secret = dict(keyring).get(key_id)
    if secret is None:
        return None
    return base64_of(subject_bytes(secret, kind, name))


def subject_bytes(secret: bytes, kind: str, name: str) -> bytes:
    """The bytes of that subject, under this secret."""
    text = f"{kind}:{name}".encode("utf-8", "surrogatepass")
    return digest(secret, b"afterword feedback-subject/1", text)[:_SUBJECT_BYTES]


def random_bytes() -> bytes:
    """The bytes of a subject for someone nobody knows.

    The system is asked for many at once: asking it lets go of the interpreter's lock, which is waited
    for again on a busy server.
    """
    try:
        return _random.popleft()
    except IndexError:
        drawn = os.urandom(_SUBJECT_BYTES * _DRAWN_AT_ONCE)
        _random.extend(
            drawn[start : start + _SUBJECT_BYTES]
            for start in range(_SUBJECT_BYTES, len(drawn), _SUBJECT_BYTES)
        )
        return drawn[:_SUBJECT_BYTES]


def random_subject() -> str:
    """A subject for someone nobody knows."""
    return base64_of(random_bytes())


def _mac(secret: bytes, signed: str) -> str:
    return base64_of(digest(secret, _PURPOSE, signed.encode("ascii")))


def digest(secret: bytes, purpose: bytes, text: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) with the key that this secret has for this one purpose."""
    return _hmac(_keyed(secret, purpose), text)


def _hmac(key: tuple[Any, Any], text: bytes) -> bytes:
    # Copies of hashes that have seen the key already cost a quarter of a new HMAC, and unlike that
    # they do not let go of the interpreter's lock.
    inner, outer = key[0].copy(), key[1].copy()
    inner.update(text)
    outer.update(inner.digest())
    found: bytes = outer.digest()
    return found


@lru_cache(maxsize=64)
def _keyed(secret: bytes, purpose: bytes) -> tuple[Any, Any]:
    extracted = hmac.digest(b"afterword", secret, "sha256")
    key = hmac.digest(extracted, purpose + b"\x01", "sha256")
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    pads = [hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C)]
    return pads[0], pads[1]


def short_id(data_id: str) -> bytes | str:
    """A data ID as it travels: a UUID, in the spelling that comes back, as its 16 bytes."""
    try:
        short = UUID(data_id)
    except ValueError:
        return data_id
    return short.bytes if str(short) == data_id else data_id


def long_id(data_id: Any) -> str:
    """The data ID that travelled so.

    Raises:
        ValueError: it is none.
    """
    if isinstance(data_id, bytes):
        return str(UUID(bytes=data_id))
    if isinstance(data_id, str):
        return data_id
    raise ValueError("a data ID is text or the bytes of a UUID")


def base64_of(data: bytes) -> str:
    """Unpadded base64url."""
    return _base64(data).decode("ascii")


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


def bytes_of(text: str) -> bytes:
    """The bytes of canonical unpadded base64url.

    Raises:
        ValueError: it is something else.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64_of(data) != text:
        raise ValueError("not canonical base64url")
    return data
