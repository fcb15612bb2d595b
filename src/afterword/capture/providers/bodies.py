"""What the body of a reply holds, for callers who read it past the SDK's parsing (layer 4)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_GZIP_OR_ZLIB = 47


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Whether a body with these headers comes event by event."""
    return headers.get("content-type", "").partition(";")[0].strip() == "text/event-stream"


def read_body(headers: Mapping[str, str], data: bytes) -> tuple[Any, list[Any]]:
    """The whole reply, or None, and the chunks, of a body as far as it came.

    Bodies packed with anything but gzip or deflate are not read.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "deflate"):
        data = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(data)
    elif encoding not in ("", "identity"):
        return None, []
    if is_event_stream(headers):
        return None, _events(data.decode("utf-8", "replace"))
    try:
        return _decode(data), []
    except msgspec.DecodeError:
        return None, []


def _events(text: str) -> list[Any]:
    found: list[Any] = []
    for event in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = [line[5:].lstrip() for line in event.split("\n") if line.startswith("data:")]
        if not lines:
            continue
        try:
            found.append(_decode("\n".join(lines)))
        except msgspec.DecodeError:
            continue  # the last event did not come whole, or is the closing [DONE]
    return found
