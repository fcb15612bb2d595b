"""Request bodies: read within bounds, decompressed within bounds, decoded in C (layer 5)."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from importlib import import_module
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from afterword.asgi.bodies import receive
from afterword.server.api.answers import Refused

__all__ = ["BODY_BYTES", "Bodies", "decoded"]

BODY_BYTES = 20_000_000
#: A body may grow to this many times its size when it is decompressed, or to `_FREE_BYTES`.
MAX_RATIO = 100
_FREE_BYTES = 8_000_000
#: Bodies of all requests together; more are told to come back.
HELD_BYTES = 200_000_000
READ_TIMEOUT_S = 30.0

_JSON = "application/json"
MSGPACK = "application/msgpack"
_CHUNK_BYTES = 262_144
_IN_THREAD_BYTES = 100_000
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_PLACE = re.compile(r" - at (?:key in )?`\$\.?([^`]*)`\Z")
_MISSING = re.compile(r"missing required field `([^`]*)`|unknown field `([^`]*)`")

T = TypeVar("T")


class Bodies:
    """Reads the bodies of one server. What they hold together is bounded."""

    def __init__(self, *, held_bytes: int = HELD_BYTES) -> None:
        self._held_bytes = held_bytes
        self.in_hand_bytes = 0

    async def read(self, request: Request, media_type: str = _JSON) -> bytes:
        """The body, decompressed.

        Raises:
            Refused: 415, 413, 408, 400 or 503, by what is wrong with it.
        """
        given, _, parameters = request.headers.get("content-type", "").partition(";")
        charset = parameters.strip().lower().replace('"', "")
        if given.strip().lower() != media_type or charset not in ("", "charset=utf-8"):
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be {media_type}.", "Content-Type"
            )
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        inflate = _INFLATERS.get(coding)
        if inflate is None:
            known = ", ".join(sorted(_INFLATERS))
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"The body's encoding must be one of: {known}.",
                "Content-Encoding",
                headers={"Accept-Encoding": known},
            )
        held = _Held(self)
        try:
            data = await self._received(request, held)
            if coding == "identity":
                return data
            if len(data) > _IN_THREAD_BYTES:
                return await run_in_threadpool(inflate, data)
            return inflate(data)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                "The body took too long to arrive.",
                headers={"Connection": "close"},
            ) from None
        finally:
            held.release()

    async def _received(self, request: Request, held: _Held) -> bytes:
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:18]) > BODY_BYTES:
            raise _too_large()
        chunks: list[bytes] = []

        def take(chunk: bytes) -> None:
            held.add(len(chunk))
            if held.size_bytes > BODY_BYTES:
                raise _too_large()
            if chunk:
                chunks.append(chunk)

        await receive(request, READ_TIMEOUT_S, take)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @contextmanager
    def holding(self, size_bytes: int) -> Generator[None]:
        """Count what a request holds until it is answered.

        Raises:
            Refused: 503, when all of them together hold too much.
        """
        held = _Held(self)
        held.add(size_bytes)
        try:
            yield
        finally:
            held.release()

    def take(self, size_bytes: int) -> None:
        """Count so many bytes more, if there is room for them."""
        if self.in_hand_bytes + size_bytes > self._held_bytes:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The server has more in hand than it can store now.",
                headers={"Retry-After": "1"},
            )
        self.in_hand_bytes += size_bytes


class _Held:
    """What one request holds of the whole."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size_bytes = 0

    def add(self, size_bytes: int) -> None:
        self._bodies.take(size_bytes)
        self.size_bytes += size_bytes

    def release(self) -> None:
        self._bodies.in_hand_bytes -= self.size_bytes
        self.size_bytes = 0


def decoded(data: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[T, str]:
    """What a JSON body holds, and its text.

    Raises:
        Refused: 400 when it is not JSON, 422 that names the field when it does not fit.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not UTF-8: {error}") from None
    try:
        return decoder.decode(data), text
    except msgspec.ValidationError as error:
        raise misfit(error) from None
    except RecursionError:
        raise Refused(422, "The body is nested too deep.", "body") from None
    except msgspec.DecodeError as error:
        if "\\ud" not in text.lower():
            raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}") from None
    return _without_halves(text, decoder)


def misfit(error: msgspec.ValidationError) -> Refused:
    """A 422 that names the field of a body that does not fit."""
    message = str(error)
    place = _PLACE.search(message)
    field = place[1].replace("[...]", "") if place else ""
    message = message[: place.start()] if place else message
    named = _MISSING.search(message)
    if named:
        field = f"{field}.{named[1] or named[2]}" if field else named[1] or named[2]
    return Refused(422, f"{field or 'body'}: {message}", field or "body")


def _without_halves(text: str, decoder: msgspec.json.Decoder[T]) -> tuple[T, str]:
    """A body some text of which was cut in the middle of a surrogate pair, as JavaScript does.

    The halves become U+FFFD: the msgspec decoder takes no lone surrogates.
    """
    try:
        whole = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
        text = _LONE_SURROGATE.sub("\ufffd", whole)
        return decoder.decode(text), text
    except msgspec.ValidationError as error:
        raise misfit(error) from None
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}") from None


def _limit_bytes(size_bytes: int) -> int:
    return min(BODY_BYTES, max(_FREE_BYTES, size_bytes * MAX_RATIO))


def _too_large() -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body must be at most {BODY_BYTES:,} bytes."
    )


def _grown(data: bytes) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body must decompress to at most {BODY_BYTES:,} bytes and {MAX_RATIO} times its size;"
        f" these {len(data):,} bytes become more.",
    )


def _broken(coding: str, error: object = "it ends early") -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, f"The body is not {coding}: {error}")


def _gunzip(data: bytes) -> bytes:
    limit = _limit_bytes(len(data))
    parts: list[bytes] = []
    size = 0
    rest = data
    try:
        while rest:
            stream = zlib.decompressobj(wbits=31)
            while not stream.eof:
                part = stream.decompress(rest, _CHUNK_BYTES)
                rest = stream.unused_data if stream.eof else stream.unconsumed_tail
                size += len(part)
                if size > limit:
                    raise _grown(data)
                parts.append(part)
                if not part and not rest and not stream.eof:
                    raise _broken("gzip")
    except zlib.error as error:
        raise _broken("gzip", error) from None
    return b"".join(parts)


def _unzstd(module: Any) -> Callable[[bytes], bytes]:
    def inflate(data: bytes) -> bytes:
        limit = _limit_bytes(len(data))
        stream = module.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data)
        parts: list[bytes] = []
        size = 0
        try:
            while part := stream.read(_CHUNK_BYTES):
                size += len(part)
                if size > limit:
                    raise _grown(data)
                parts.append(part)
        except module.ZstdError as error:
            raise _broken("zstd", error) from None
        return b"".join(parts)

    return inflate


def _unzstd_of_python(module: Any) -> Callable[[bytes], bytes]:
    def inflate(data: bytes) -> bytes:
        limit = _limit_bytes(len(data))
        stream = module.ZstdDecompressor()
        try:
            whole: bytes = stream.decompress(data, limit + 1)
        except module.ZstdError as error:
            raise _broken("zstd", error) from None
        if len(whole) > limit:
            raise _grown(data)
        if not stream.eof:
            raise _broken("zstd")
        return whole

    return inflate


def _inflaters() -> dict[str, Callable[[bytes], bytes]]:
    known: dict[str, Callable[[bytes], bytes]] = {"identity": bytes, "gzip": _gunzip}
    for name, made in (("compression.zstd", _unzstd_of_python), ("zstandard", _unzstd)):
        try:
            known["zstd"] = made(import_module(name))
        except ImportError:
            continue
        break
    return known


_INFLATERS = _inflaters()
