"""Trying what is ours between a caller and an SDK, so that its faults stay ours (layer 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from afterword.default import default_client
from afterword.delivery.faults import Faults

#: Faults met where there is no client to count them.
_homeless = Faults()


def attempt(kind: str, act: Callable[..., Any], *arguments: Any) -> Any:
    """What `act` gives; None when it raises, which is counted as a fault of this kind."""
    try:
        return act(*arguments)
    except Exception as error:
        try:
            faults = default_client().faults
        except Exception:
            faults = _homeless
        faults.note(kind, error)
        return None
