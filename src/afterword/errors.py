"""Every error Afterword raises, as one tree (layer 0).

    AfterwordError
    ├── ClockJumped
    ├── ConfigError
    ├── InvalidInput (ValueError)
    │   └── FeedbackRejected
    ├── NoGenerationInContext
    ├── DeliveryError
    ├── TokenRejected
    └── StoreError
        ├── StoreBusy
        ├── StoreUnavailable
        │   └── StoreRefused
        ├── StoreTooLarge
        └── StoreTooNew

The docstring of a class is its default message.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

__all__ = [
    "AfterwordError",
    "ClockJumped",
    "ConfigError",
    "DeliveryError",
    "FeedbackRejected",
    "InvalidInput",
    "NoGenerationInContext",
    "StoreBusy",
    "StoreError",
    "StoreRefused",
    "StoreTooLarge",
    "StoreTooNew",
    "StoreUnavailable",
    "TokenRejected",
]


def shown(value: object) -> str:
    """A value as messages show it: short, whatever it is."""
    try:
        return f"{value!r:.100}"
    except Exception:
        return f"<{type(value).__name__}>"


class AfterwordError(Exception):
    """Afterword could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or "").partition("\n")[0])


class ClockJumped(AfterwordError):
    """The clock has moved by more than a day against what is known of the time; nothing was removed."""


class ConfigError(AfterwordError):
    """The configuration is not usable."""


class InvalidInput(AfterwordError, ValueError):
    """A field holds a value that is not allowed."""

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        allowed: Sequence[str] = (),
        index: int | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        self.allowed = tuple(allowed)
        self.index = index


class FeedbackRejected(InvalidInput):
    """The feedback does not fit the project's feedback types; nothing of it was kept."""


class NoGenerationInContext(AfterwordError):
    """No generation has begun in this trail, so there is no data ID to use; pass data_id."""


class DeliveryError(AfterwordError):
    """The record could not be made durable: neither the store nor the spool took it."""


class TokenRejected(AfterwordError):
    """The feedback token is not valid."""


class StoreError(AfterwordError):
    """The store could not do its work."""

    #: After how many seconds the store asked to be tried again, when it said so.
    retry_after_s: float | None = None


class StoreBusy(StoreError):
    """The store is locked by another writer; trying again later may work."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or opened."""


class StoreRefused(StoreUnavailable):
    """The store refuses this client: its key is wrong or lacks a scope."""


class StoreTooLarge(StoreError):
    """The store does not take this much at once."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of Afterword; upgrade to open it."""
