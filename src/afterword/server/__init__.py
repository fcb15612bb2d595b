"""The server: one ASGI app with the API and the Logs pages (layer 5; needs the extra ``server``)."""

from __future__ import annotations

from afterword.server.app import create_app

__all__ = ["create_app"]
