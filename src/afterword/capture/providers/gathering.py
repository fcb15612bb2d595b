"""The chunks of a decorated stream, gathered into the message they make (layer 4)."""

from __future__ import annotations

from typing import Any

from afterword.capture.providers.finding import provider_of_chunk
from afterword.capture.providers.folding import Fold, Provider
from afterword.capture.records import OVERFULL
from afterword.codec import plain
from afterword.snapshot import MAX_BYTES, size_bytes, snapshot


class Gathered:
    """Chunks of one provider; what is none of them stands beside the message it interrupts."""

    __slots__ = ("_fold", "_parts", "_provider", "left_bytes")

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._parts: list[tuple[Fold | None, Any]] = []
        self._fold: Fold | None = None
        self.left_bytes = MAX_BYTES

    def append(self, chunk: Any) -> None:
        """Take in one chunk. `left_bytes` is OVERFULL once something was left out."""
        make = self._provider.fold_of(chunk)
        if make is None:
            kept = snapshot(chunk)
            self.left_bytes -= size_bytes(kept)
            self._fold = None
            if self.left_bytes >= 0:
                self._parts.append((None, kept))
            else:
                self.left_bytes = OVERFULL
            return
        fold = self._fold
        if fold is None or fold.starts_over(chunk):
            self._fold = fold = make()
            self._parts.append((fold, None))
        fold.add(chunk)
        left = fold.room.left
        self.left_bytes = OVERFULL if left < 0 else min(self.left_bytes, left)

    def joined(self) -> Any:
        """The message; several of them, and what stood between, as a list."""
        parts = [plain(kept) if fold is None else fold.message() for fold, kept in self._parts]
        return parts[0] if len(parts) == 1 else parts


def gathered(chunk: Any) -> Gathered | None:
    """Where a stream that begins with this chunk is gathered, or None when it is no provider's."""
    provider = provider_of_chunk(chunk)
    return None if provider is None else Gathered(provider)
