"""What servers, and things that are no Afterword server, answer: for the script of a `FaultProxy`."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
from fault_proxy import Reply, Request

OURS = "application/vnd.afterword.store+msgpack"


def reply(status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> Reply:
    """Any answer. Names of headers have _ for -."""
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    if kind:
        head += f"Content-Type: {kind}\r\n"
    for name, value in headers.items():
        head += f"{name.replace('_', '-')}: {value}\r\n"
    return Reply((f"{head}\r\n".encode() + body,))


def refusal(status: int, detail: str = "no", **headers: str) -> Reply:
    """A failure as an Afterword server tells it."""
    return reply(status, json.dumps({"detail": detail}).encode(), **headers)


def acknowledgement(request: Request) -> Reply:
    """What a server answers that takes everything."""
    result: Any = request.rows.get("feedback", []) if request.is_write else None
    return reply(200, msgspec.msgpack.encode({"result": result}), OURS)


def captive_portal() -> Reply:
    return reply(200, b"<html><title>Log in to the Wi-Fi</title>", "text/html")


def no_content() -> Reply:
    return Reply((b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",))


def redirect(status: int, target: str) -> Reply:
    return reply(status, kind="", Location=target)


def bomb() -> Reply:
    """A compressed answer that would fill the memory: 200 MB in 200 kB."""
    body = gzip.compress(b"\0" * 200_000_000, 9)
    return reply(200, body, OURS, Content_Encoding="gzip")


def endless(kind: str) -> Reply:
    """An answer without an end, as fast as it is read."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode()
    return Reply((head, *[b"x" * 65_536] * 10_000))


def trickle(pause_s: float = 1.0) -> Reply:
    """Headers a byte at a time, for ever."""
    return Reply((b"HTTP/1.1 200 OK\r\nX: ", *[b"a"] * 3_600), pause_s)


def http_date(seconds: float) -> str:
    """So many seconds from now, as Retry-After writes it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
