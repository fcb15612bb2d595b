"""The frames of a spool: how a record is written so that damage shows and spreads no further (layer 2).

A frame is a mark of four bytes, the length of its body and a CRC-32 of length and body (both 32 bits,
little-endian), then the body in MessagePack. After damage the next mark with a right CRC is where
reading goes on.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import msgspec

from afterword.feedback.rows import FeedbackRow
from afterword.stores.rows import GenerationRow

#: In no text, as it is no UTF-8, and not where one begins or ends in MessagePack either. So nobody can write
#: a text that would be taken for a record when the one around it is damaged.
MARK = b"AW\xff1"
MAX_BODY_BYTES = 256_000_000

_HEAD = struct.Struct("<4sII")
_LENGTH = struct.Struct("<I")


class Spooled(msgspec.Struct, omit_defaults=True):
    """What one frame holds: a generation, or the statements that were given together."""

    generation: GenerationRow | None = None
    feedback: list[FeedbackRow] = []

    @property
    def records(self) -> int:
        """How many records this is, as `status` counts them."""
        return len(self.feedback) + (self.generation is not None)

    @property
    def key(self) -> str:
        """The ID that tells it from others."""
        if self.generation is not None:
            return self.generation.id
        return self.feedback[0].id if self.feedback else ""


class Found(NamedTuple):
    """A whole frame: where it begins and ends, and its body."""

    start: int
    end: int
    body: bytes


class Gap(NamedTuple):
    """Bytes that are no frame."""

    start: int
    end: int


class Scan(NamedTuple):
    """What was found in some bytes, in order. `end` is where the last whole frame ends."""

    frames: list[Found]
    gaps: list[Gap]
    end: int


_encode_body = msgspec.msgpack.Encoder().encode
_DECODER = msgspec.msgpack.Decoder(Spooled)


def frame(spooled: Spooled) -> bytes:
    """One record as a frame.

    Raises:
        ValueError: the record cannot be written down.
    """
    return framed(body_of(spooled))


def body_of(spooled: Spooled) -> bytes:
    """One record as the body of a frame.

    Raises:
        ValueError: the record cannot be written down.
    """
    try:
        return _encode_body(spooled)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def framed(body: bytes) -> bytes:
    """A body as a frame."""
    length = len(body)
    if length > MAX_BODY_BYTES:
        raise ValueError(f"a record of {length:,} bytes is too large for a spool")
    crc = zlib.crc32(body, zlib.crc32(_LENGTH.pack(length)))
    return _HEAD.pack(MARK, length, crc) + body


def record_of(body: bytes) -> Spooled:
    """The record in a frame's body.

    Raises:
        ValueError: it is none that this version knows.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error


def scan(data: bytes, *, most_frames: int | None = None) -> Scan:
    """Every whole frame in `data`, and what lies between them. Never raises, whatever the bytes."""
    frames: list[Found] = []
    gaps: list[Gap] = []
    place = end = 0
    while place < len(data) and (most_frames is None or len(frames) < most_frames):
        found = _frame_at(data, place)
        if found is not None:
            if place > end:
                gaps.append(Gap(end, place))
            frames.append(found)
            place = end = found.end
            continue
        place = data.find(MARK, place + 1)
        if place < 0:
            place = len(data)
    if place > end:
        gaps.append(Gap(end, place))
    return Scan(frames, gaps, end)


def _frame_at(data: bytes, place: int) -> Found | None:
    if place + _HEAD.size > len(data):
        return None
    mark, length, crc = _HEAD.unpack_from(data, place)
    start = place + _HEAD.size
    if mark != MARK or length > MAX_BODY_BYTES or start + length > len(data):
        return None
    body = data[start : start + length]
    if zlib.crc32(body, zlib.crc32(_LENGTH.pack(length))) != crc:
        return None
    return Found(place, start + length, body)
