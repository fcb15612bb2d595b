"""Finding the provider of a client or a chunk, by the name of its package (layer 4).

A provider is a module of this folder that has a `PROVIDER`. A provider's own package is never
imported here: whoever has an object of it has imported it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Any

from afterword.capture.providers.folding import Provider, stored_fields


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
    """The provider whose SDK a client comes from, or whose calls it makes; None when unknown."""
    known = providers()
    for kind in type(client).__mro__:
        provider = known.get(package_of(kind))
        if provider is not None:
            return provider
    for provider in known.values():
        if provider.fits(client):
            return dataclasses.replace(provider, name=package_of(type(client)), base_url="")
    return None


def provider_of_chunk(chunk: Any) -> Provider | None:
    """The provider of a stream that begins with this chunk: by the package of its class, or, for
    dicts and models of other packages, by what only the first chunk of a stream holds.
    """
    known = providers()
    provider = known.get(package_of(type(chunk)))
    if provider is not None:
        return provider if provider.fold_of(chunk) is not None else None
    fields = stored_fields(chunk)
    if fields is not None:
        for provider in known.values():
            if provider.begins(fields):
                return provider
    return None
