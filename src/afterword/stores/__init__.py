"""Stores: where records live. One file a backend, found by the URL's scheme (layer 2).

`sqlite:` and `memory:` are here; a further one is a module of this folder with a function
``open_store(url: str) -> Store`` and a line in `_SCHEMES`, and passes the contract suite.
"""

from __future__ import annotations

import importlib
from typing import cast

from afterword.errors import ConfigError
from afterword.stores.protocol import Store

__all__ = ["Store", "open_store"]

_SCHEMES = {
    "sqlite": "sqlite",
    "memory": "memory",
    "postgresql": "postgres",
    "postgres": "postgres",
    "http": "http",
    "https": "http",
}


def open_store(url: str, *, api_key: str | None = None) -> Store:
    """The store a URL names. Nothing is opened until the first use.

    `api_key` is for a store that is another Afterword server; others ask for none.

    Raises:
        ConfigError: the URL's scheme is unknown or the rest of it makes no sense.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in _SCHEMES:
        known = ", ".join(f"{name}:" for name in _SCHEMES)
        raise ConfigError(f"the store's URL {url!r:.200} must begin with one of {known}")
    module = importlib.import_module(f"{__name__}.{_SCHEMES[scheme]}")
    if _SCHEMES[scheme] == "http":
        return cast("Store", module.open_store(url, api_key))
    return cast("Store", module.open_store(url))
