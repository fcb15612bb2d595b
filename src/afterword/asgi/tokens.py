"""Feedback tokens: ``aw1.<kid>.<payload>.<mac>`` (layer 5).

The format is our own (the design's §5). `aw1` fixes everything: payload a msgpack array in
unpadded base64url, MAC HMAC-SHA256 over the three parts before it, with a key derived by HKDF
(RFC 5869) for this one purpose. Nothing about it can be negotiated. A token is authority to give
feedback on the generations it names, and for nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from uuid_utils import UUID, uuid7

from afterword.errors import InvalidInput, TokenRejected

MAX_CHARS = 400
MAX_DATA_IDS = 8
MAX_TTL_S = 30 * 86_400
DEFAULT_TTL_S = 86_400
SKEW_S = 60

Keyring = Sequence[tuple[str, bytes]]

_SHAPE = re.compile(r"aw1\.([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]{1,400})\.([A-Za-z0-9_-]{43})\Z")
_SUBJECT_BYTES = 12
_MAC_CHARS = 43
_NO_SECRET = b"no such key"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


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


_pack = msgspec.msgpack.encode
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
    expires_s = now_s + min(ttl_s, MAX_TTL_S)
    rater = bytes_of(subject) if isinstance(subject, str) else subject
    allowed = None if types is None else list(types)
    shorts = [short_id(data_id) for data_id in data_ids[:MAX_DATA_IDS]]
    while shorts:
        payload = _Payload(
            audience="feedback",
            project=project,
            data_ids=shorts,
            types=allowed,
            subject=rater,
            bound=bound,
            issued_s=now_s,
            expires_s=expires_s,
        )
        signed = f"aw1.{key_id}.{base64_of(_pack(payload))}"
        if len(signed) + 1 + _MAC_CHARS <= MAX_CHARS:
            return f"{signed}.{_mac(secret, signed)}"
        shorts.pop()
    raise InvalidInput(
        f"a token has at most {MAX_CHARS} characters: name fewer types, or shorten the project",
        field="types",
    )


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
    """The bytes of a subject for someone nobody knows: 74 random bits, and some of the time.

    Those of a fresh UUIDv7, since these come from a generator that seldom asks the system for more;
    asking it lets go of the interpreter's lock, which is waited for again on a busy server.
    """
    return uuid7().bytes[-_SUBJECT_BYTES:]


def random_subject() -> str:
    """A subject for someone nobody knows."""
    return base64_of(random_bytes())


def _mac(secret: bytes, signed: str) -> str:
    return base64_of(digest(secret, b"afterword feedback-token/1", signed.encode("ascii")))


def digest(secret: bytes, purpose: bytes, text: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) with the key that this secret has for this one purpose."""
    # Copies of hashes that have seen the key already cost a quarter of a new HMAC, and unlike that
    # they do not let go of the interpreter's lock.
    inner, outer = _keyed(secret, purpose)
    inner, outer = inner.copy(), outer.copy()
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
        found = UUID(data_id)
    except ValueError:
        return data_id
    return found.bytes if str(found) == data_id else data_id


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
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def bytes_of(text: str) -> bytes:
    """The bytes of canonical unpadded base64url.

    Raises:
        ValueError: it is something else.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64_of(data) != text:
        raise ValueError("not canonical base64url")
    return data
