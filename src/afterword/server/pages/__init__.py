"""The Logs pages: server-rendered HTML that works without JavaScript (layer 5)."""

from __future__ import annotations
