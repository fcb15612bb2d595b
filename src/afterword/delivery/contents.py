"""What is in the folder of a spool, whoever put it there (layer 2)."""

from __future__ import annotations

from typing import NamedTuple

from afterword.delivery import dead_letters, spool
from afterword.delivery.files import Files


class Contents(NamedTuple):
    """Files of each kind, and their sizes. A segment may hold records that are delivered already."""

    segments: int = 0
    segment_bytes: int = 0
    dead_letters: int = 0
    damaged: int = 0
    #: All of it, dead letters and damaged pieces included.
    size_bytes: int = 0


def contents_of(files: Files | None) -> Contents:
    """What is there now; nothing when there is no folder. Changes nothing.

    Raises:
        OSError: the folder cannot be read.
    """
    segments = segment_bytes = letters = damaged = size_bytes = 0
    if files is None:
        return Contents()
    for name in files.names():
        one_bytes = files.size_bytes(name)
        size_bytes += one_bytes
        if name.endswith(spool.SUFFIX):
            segments += 1
            segment_bytes += one_bytes
        letters += name.endswith(dead_letters.SUFFIX)
        damaged += name.endswith(spool.DAMAGED_SUFFIX)
    return Contents(segments, segment_bytes, letters, damaged, size_bytes)
