"""Feedback: what a type may hold, and which statement counts now (layer 1)."""

from __future__ import annotations
