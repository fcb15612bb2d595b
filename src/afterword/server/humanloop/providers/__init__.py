"""Model providers for Humanloop's routes: where they are, and calls of them over HTTP (layer 5)."""

from __future__ import annotations

from afterword.server.humanloop.providers.asking import Ask, Piece, ProviderFailed, Sample
from afterword.server.humanloop.providers.calling import answer, stream
from afterword.server.humanloop.providers.targets import Target, target_of

__all__ = ["Ask", "Piece", "ProviderFailed", "Sample", "Target", "answer", "stream", "target_of"]
