"""Capture: the decorator, and the life of the calls it logs (layer 4)."""

from __future__ import annotations
