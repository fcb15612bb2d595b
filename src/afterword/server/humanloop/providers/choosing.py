"""Which provider answers a call, and how long it may take (layer 5)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from afterword.server.humanloop.providers.asking import ProviderFailed
from afterword.server.humanloop.providers.targets import Target, how_to_configure, target_of

__all__ = ["chosen", "timeout_s"]

_TIMEOUT_S = 120.0


async def chosen(provider: str, given: Mapping[str, str]) -> Target:
    """The provider to call.

    Raises:
        ProviderFailed: 424, it is not configured; the message says how to.
    """
    target = target_of(provider, given)
    if target is None:
        raise ProviderFailed(
            424, "provider_not_configured", how_to_configure(provider), origin=provider
        )
    return target


def timeout_s(environment: Mapping[str, str] = os.environ) -> float:
    """How long a provider may be silent: AFTERWORD_PROVIDER_TIMEOUT_S, else 120 s."""
    try:
        given = float(environment.get("AFTERWORD_PROVIDER_TIMEOUT_S", ""))
    except ValueError:
        return _TIMEOUT_S
    return given if 0 < given < 86_400 else _TIMEOUT_S
