"""API keys: made, shown once, kept as a hash, looked up and revoked (layer 5).

A key is ``awk_<id>_<secret>``: 48 random bits that name it and 256 that prove it. The store keeps
a document of kind ``api_key`` with the SHA-256 of the whole key, which for a random secret is as
good as a slow hash. A revoked key leaves its document, so that a server once closed stays closed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from afterword.configuration import check_project
from afterword.errors import ConfigError, InvalidInput
from afterword.model import from_microseconds
from afterword.stores.protocol import Store

__all__ = ["SCOPES", "Key", "KeyBook", "create_key", "list_keys", "revoke_key"]

SCOPES = ("ingest", "read", "feedback", "admin")
KIND = "api_key"

#: The project of a key's document when the key is for all of them.
_ALL_PROJECTS = ""
_PREFIX = "awk"
_ID_CHARS = 12
_MAX_KEY_CHARS = 200
_MAX_LABEL_CHARS = 200
#: Within this time a revoked key stops working on every server of the store.
KEPT_S = 1.0
#: A key not known yet may be a new one; so often at most the store is asked again for such.
_ASKED_AGAIN_S = 0.1


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key: never the key itself. `project` None means every project."""

    id: str
    project: str | None
    scopes: tuple[str, ...]
    label: str = ""
    created_at: datetime
    revoked_at: datetime | None = None
    digest: str

    def __repr__(self) -> str:
        return f"<Key {self.id} project={self.project!r} scopes={','.join(self.scopes)}>"


class _Kept(msgspec.Struct, kw_only=True):
    """A key's document. Times are microseconds since 1970."""

    digest: str
    scopes: tuple[str, ...]
    label: str = ""
    created_at: int
    revoked_at: int | None = None


def create_key(
    store: Store, *, project: str | None, scopes: Sequence[str], label: str = ""
) -> tuple[str, Key]:
    """Make a key and keep its hash; gives the key, which nobody can tell again, and its record.

    `project` None makes a key for every project.

    Raises:
        InvalidInput: a scope is unknown, there is none, or the project or label is not usable.
        StoreError: the store does not take it.
    """
    if not scopes:
        raise InvalidInput("a key needs at least one scope", field="scopes", allowed=SCOPES)
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidInput(
                f"unknown scope {scope!r:.50}; known: {', '.join(SCOPES)}",
                field="scopes",
                allowed=SCOPES,
            )
    if project is not None:
        try:
            check_project(project)
        except ConfigError as error:
            raise InvalidInput(str(error), field="project") from None
    if len(label) > _MAX_LABEL_CHARS:
        raise InvalidInput(f"label must be at most {_MAX_LABEL_CHARS} characters", field="label")
    key_id = secrets.token_hex(_ID_CHARS // 2)
    text = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    kept = _Kept(
        digest=_digest(text),
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        label=label,
        created_at=time.time_ns() // 1000,
    )
    store.put_document(KIND, project or _ALL_PROJECTS, key_id, _encode(kept), replace=False)
    return text, _key(project or _ALL_PROJECTS, key_id, kept)


def list_keys(store: Store, project: str | None = None) -> list[Key]:
    """Every key, or those of one project, revoked ones included, the oldest first."""
    found = [
        _key(place, key_id, _decode(body)) for place, key_id, body in store.documents(KIND, project)
    ]
    return sorted(found, key=lambda key: (key.created_at, key.id))


def revoke_key(store: Store, key_id: str) -> Key | None:
    """End a key by its ID, or by the key itself; None when there is none of that ID.

    Servers of the store refuse it within a second. Revoking twice is no error.
    """
    wanted = _id_of(key_id) or key_id
    for place, found_id, body in store.documents(KIND):
        if found_id == wanted:
            kept = _decode(body)
            if kept.revoked_at is None:
                kept.revoked_at = time.time_ns() // 1000
                store.put_document(KIND, place, found_id, _encode(kept))
            return _key(place, found_id, kept)
    return None


class KeyBook:
    """The keys of one store, kept for a second. Safe from any thread; reading them may block."""

    def __init__(self, store: Store, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._read_s = float("-inf")

    @property
    def is_fresh(self) -> bool:
        """Whether `find` of a known key will answer without asking the store."""
        return self._clock_s() - self._read_s <= KEPT_S

    def has_any(self) -> bool:
        """Whether a key was ever made, revoked ones included."""
        return bool(self._known(KEPT_S))

    def find(self, text: str) -> Key | None:
        """The key that `text` is, when it is one and not revoked. Compared in constant time."""
        key_id = _id_of(text) or ""
        key = self._known(KEPT_S).get(key_id)
        if key is None and key_id:
            key = self._known(_ASKED_AGAIN_S).get(key_id)
        # An unknown ID costs as much as a wrong secret.
        expected = _NOBODY if key is None else key.digest
        matches = hmac.compare_digest(_digest(text), expected)
        return key if key is not None and matches and key.revoked_at is None else None

    def by_id(self, key_id: str) -> Key | None:
        """The key of that ID, when there is one and it is not revoked."""
        key = self._known(KEPT_S).get(key_id)
        return key if key is not None and key.revoked_at is None else None

    def _known(self, kept_s: float) -> dict[str, Key]:
        if self._clock_s() - self._read_s > kept_s:
            with self._lock:
                if self._clock_s() - self._read_s > kept_s:
                    self._keys = {key.id: key for key in list_keys(self._store)}
                    self._read_s = self._clock_s()
        return self._keys


def as_scopes(text: str) -> list[str]:
    """The scopes of a comma-separated list."""
    return [scope for scope in (part.strip() for part in text.split(",")) if scope]


def rows_of(keys: Iterable[Key]) -> list[tuple[str, ...]]:
    """The cells of a table of keys: ID, project, scopes, label, created, revoked."""
    return [
        (
            key.id,
            key.project or "(all)",
            ",".join(key.scopes),
            key.label,
            f"{key.created_at:%Y-%m-%d %H:%M:%S}Z",
            "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M:%S}Z",
        )
        for key in keys
    ]


def _id_of(text: str) -> str | None:
    prefix, _, rest = text.partition("_")
    key_id, separator, _ = rest.partition("_")
    if prefix != _PREFIX or not separator or len(key_id) != _ID_CHARS:
        return None
    return key_id if len(text) <= _MAX_KEY_CHARS else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


_NOBODY = _digest(secrets.token_urlsafe(32))


def _key(place: str, key_id: str, kept: _Kept) -> Key:
    return Key(
        id=key_id,
        project=place or None,
        scopes=kept.scopes,
        label=kept.label,
        created_at=from_microseconds(kept.created_at),
        revoked_at=None if kept.revoked_at is None else from_microseconds(kept.revoked_at),
        digest=kept.digest,
    )


def _encode(kept: _Kept) -> str:
    return msgspec.json.encode(kept).decode()


def _decode(body: str) -> _Kept:
    return msgspec.json.decode(body, type=_Kept)
