"""Finding the provider of a client or a chunk, by the name of its package (layer 4).

A provider is a module of this folder that has a `PROVIDER`. A provider's own package is never
imported here: whoever has an object of it has imported it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Any

from afterword.capture.providers.folding import Provider


@functools.cache
def providers() -> dict[str, Provider]:
    """The providers by name."""
    package = __name__.rpartition(".")[0]
    found = (
        getattr(importlib.import_module(f"{package}.{module.name}"), "PROVIDER", None)
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    )
    return {provider.name: provider for provider in found if isinstance(provider, Provider)}


def package_of(kind: type) -> str:
    """The name of the top package that a class comes from."""
    return str(kind.__module__).partition(".")[0]


def provider_of_client(client: Any) -> Provider | None:
    """The provider whose SDK a client, or a class below its own, comes from; None when unknown."""
    known = providers()
    for kind in type(client).__mro__:
        provider = known.get(package_of(kind))
        if provider is not None:
            return provider
    return None


def provider_of_chunk(chunk: Any) -> Provider | None:
    """The provider that this is a chunk of: an object of its SDK, or a dict of the same shape."""
    known = providers()
    if type(chunk) is dict:
        candidates = list(known.values())
    else:
        named = known.get(package_of(type(chunk)))
        candidates = [] if named is None else [named]
    for provider in candidates:
        if provider.fold_of(chunk) is not None:
            return provider
    return None
