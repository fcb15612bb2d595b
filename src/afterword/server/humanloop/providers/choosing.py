"""Which provider answers a call, and how long it may take (layer 5).

With no provider configured at all, and the parts of the demo's local model installed, that model
answers whatever model was asked for.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping

from afterword.server.humanloop.providers import openai
from afterword.server.humanloop.providers.asking import ProviderFailed
from afterword.server.humanloop.providers.targets import (
    Target,
    how_to_configure,
    is_anything_configured,
    target_of,
)
from afterword.server.local_model import (
    MODEL_NAME,
    LocalModel,
    ModelLoadError,
    ModelMissingError,
    find_weights,
)

__all__ = ["LOCAL", "LocalProvider", "chosen", "timeout_s"]

#: The name that records give for the local model's provider.
LOCAL = "local"

_TIMEOUT_S = 120.0


class LocalProvider:
    """The model in this process, loaded when it is first needed."""

    def __init__(self, load: Callable[[], LocalModel] = LocalModel.load) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._model: LocalModel | None = None

    def is_installed(self) -> bool:
        """Whether both of its packages are there."""
        if importlib.util.find_spec("xllamacpp") is None:
            return False
        try:
            find_weights()
        except ModelMissingError:
            return False
        return True

    def target(self) -> Target:
        """Where it listens; loads it the first time, which takes about a second.

        Raises:
            ProviderFailed: 424, it does not load.
        """
        with self._lock:
            if self._model is None:
                try:
                    self._model = self._load()
                except (ModelMissingError, ModelLoadError) as error:
                    raise ProviderFailed(
                        424, "provider_not_configured", str(error), origin=LOCAL
                    ) from None
            model = self._model
        headers = openai.headers(model.api_key)
        return Target(LOCAL, model.base_url, openai, headers, model.api_key, model=MODEL_NAME)


_local = LocalProvider()


async def chosen(
    provider: str,
    given: Mapping[str, str],
    local: LocalProvider | None = None,
) -> Target:
    """The provider to call.

    Raises:
        ProviderFailed: 424, it is not configured; the message says how to.
        InvalidInput: its name, or an address sent with the call, is none.
    """
    local = local or _local
    target = target_of(provider, given)
    if target is not None:
        return target
    if not is_anything_configured() and local.is_installed():
        return await asyncio.to_thread(local.target)
    raise ProviderFailed(
        424, "provider_not_configured", how_to_configure(provider), origin=provider
    )


def timeout_s(environment: Mapping[str, str] = os.environ) -> float:
    """How long a provider may be silent: AFTERWORD_PROVIDER_TIMEOUT_S, else 120 s."""
    try:
        given = float(environment.get("AFTERWORD_PROVIDER_TIMEOUT_S", ""))
    except ValueError:
        return _TIMEOUT_S
    return given if 0 < given < 86_400 else _TIMEOUT_S
