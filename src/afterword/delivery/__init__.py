"""Delivery: from the caller to the store, without making the caller wait (layer 2)."""

from __future__ import annotations
