"""The secrets that sign feedback tokens: those of the configuration, or one that the store keeps (layer 3)."""

from __future__ import annotations

import secrets

from afterword.delivery.faults import Faults
from afterword.errors import StoreError
from afterword.stores.protocol import Store

Keys = tuple[tuple[str, bytes], ...]

_SETTING = "feedback_secret"


class Keyring:
    """(key ID, secret) pairs, the newest first. Safe from any thread."""

    def __init__(self, keys: Keys, store: Store, faults: Faults) -> None:
        self._keys = keys
        self._store = store
        self._faults = faults

    @property
    def is_ready(self) -> bool:
        """Whether `keys` will answer at once."""
        return bool(self._keys) or not self._store.is_local

    def keys(self) -> Keys:
        """The secrets; empty when there are none.

        Blocks on the store the first time when none was configured.
        """
        if not self._keys and self._store.is_local:
            try:
                made = self._store.setting(_SETTING, _new_secret)
            except StoreError as error:
                self._faults.note("reading the feedback secret", error)
                return ()
            key_id, _, secret = made.partition(":")
            self._keys = ((key_id, secret.encode()),)
        return self._keys


def _new_secret() -> str:
    return f"s{secrets.token_hex(3)}:{secrets.token_urlsafe(32)}"
