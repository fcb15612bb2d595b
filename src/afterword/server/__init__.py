"""The server: one ASGI app with the API and the Logs pages (layer 5; needs the extra ``server``)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterword.server.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # The app needs the extra; what needs only the keys, as the command line does, comes by here too.
    if name == "create_app":
        return import_module("afterword.server.app").create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
