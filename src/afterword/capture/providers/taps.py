"""Taps on the two places a streamed reply passes: the SDK's iterator, and the HTTP body (layer 4).

The objects that the caller holds (stream, response) stay the SDK's own, class and all; only what
they draw from is stood in for, by proxies that answer every other question as the original would.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import wrapt

from afterword.capture.providers.attempts import attempt
from afterword.capture.providers.bodies import is_event_stream, read_body
from afterword.capture.providers.recordings import Recording
from afterword.snapshot import MAX_BYTES

_CHUNK = "recording a provider's chunk"
_END = "recording the end of a reply"


def tap(result: Any, recording: Recording) -> None:
    """Follow what a request gave: a reply, a stream of one, or a response for the caller to read."""
    response = getattr(result, "http_response", None)
    if response is not None:
        _tap_response(result, response, recording)
    elif _is_stream(result):
        _tap_stream(result, recording)
    elif hasattr(result, "is_stream_consumed"):
        _tap_response(result, result, recording)
    else:
        recording.reply(result)


def _is_stream(result: Any) -> bool:
    return hasattr(result, "_iterator") and hasattr(result, "response")


def _tap_stream(stream: Any, recording: Recording) -> None:
    source = stream._iterator
    if isinstance(source, _Tap):
        return
    recording.stream()
    kind = _AsyncChunks if hasattr(source, "__anext__") else _Chunks
    stream._iterator = kind(source, recording)
    response = stream.response
    if isinstance(response.stream, _Body):
        response.stream._self_reads = False
    else:
        response.stream = _Body(response.stream, recording, response.headers, reads=False)


def _tap_response(result: Any, response: Any, recording: Recording) -> None:
    if response.is_stream_consumed:
        unpacked = {"content-type": response.headers.get("content-type", "")}
        whole, chunks = read_body(unpacked, response.content)
        for chunk in chunks:
            recording.add(chunk)
        recording.reply(whole)
        return
    recording.stream()
    response.stream = _Body(response.stream, recording, response.headers, reads=True)
    parse = getattr(result, "parse", None)
    if parse is not None:
        result.parse = _tapped_parse(parse, recording)


def _tapped_parse(parse: Any, recording: Recording) -> Any:
    """`parse` of a response, followed when what it gives is a stream."""
    if inspect.iscoroutinefunction(parse):

        @functools.wraps(parse)
        async def parse_async(*args: Any, **kwargs: Any) -> Any:
            parsed = await parse(*args, **kwargs)
            attempt("following a reply", _tap_parsed, parsed, recording)
            return parsed

        return parse_async

    @functools.wraps(parse)
    def parse_sync(*args: Any, **kwargs: Any) -> Any:
        parsed = parse(*args, **kwargs)
        attempt("following a reply", _tap_parsed, parsed, recording)
        return parsed

    return parse_sync


def _tap_parsed(parsed: Any, recording: Recording) -> None:
    if not recording.is_over and _is_stream(parsed):
        _tap_stream(parsed, recording)


class _Tap(wrapt.BaseObjectProxy[Any]):
    """What the taps share: the recording, which is over when nothing can draw any more."""

    def __init__(self, wrapped: Any, recording: Recording) -> None:
        super().__init__(wrapped)
        self._self_recording = recording

    def _self_end(self, status: str) -> None:
        self._self_recording.end(status)

    def __del__(self) -> None:
        attempt(_END, _end_of, self)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _end_of(tap: _Tap) -> None:
    tap._self_end("abandoned")


class _Chunks(_Tap):
    """The iterator inside an SDK's stream."""

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        recording = self._self_recording
        recording.is_drawn = True
        try:
            chunk = next(self.__wrapped__)
        except StopIteration:
            attempt(_END, recording.end, "ok")
            raise
        except BaseException as error:
            attempt(_END, recording.end_raised, error)
            raise
        finally:
            recording.is_drawn = False
        attempt(_CHUNK, recording.add, chunk)
        return chunk


class _AsyncChunks(_Tap):
    """The async iterator inside an SDK's stream."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        recording = self._self_recording
        recording.is_drawn = True
        try:
            chunk = await self.__wrapped__.__anext__()
        except StopAsyncIteration:
            attempt(_END, recording.end, "ok")
            raise
        except BaseException as error:
            attempt(_END, recording.end_raised, error)
            raise
        finally:
            recording.is_drawn = False
        attempt(_CHUNK, recording.add, chunk)
        return chunk


class _Body(_Tap):
    """The bytes of an HTTP response. Tells when it is closed; keeps what is read past the SDK."""

    def __init__(self, wrapped: Any, recording: Recording, headers: Any, *, reads: bool) -> None:
        super().__init__(wrapped, recording)
        self._self_headers = headers
        self._self_reads = reads
        self._self_data = bytearray()

    def __iter__(self) -> Any:
        return self._self_followed(iter(self.__wrapped__))

    def __aiter__(self) -> Any:
        return self._self_followed(aiter(self.__wrapped__))

    def _self_followed(self, source: Any) -> Any:
        pieces = attempt(_CHUNK, _Pieces, source, self) if self._self_reads else None
        return source if pieces is None else pieces

    def close(self) -> None:
        try:
            self.__wrapped__.close()
        finally:
            attempt(_END, self._self_end, "abandoned")

    async def aclose(self) -> None:
        try:
            await self.__wrapped__.aclose()
        finally:
            attempt(_END, self._self_end, "abandoned")

    def _self_take(self, piece: bytes) -> None:
        if is_event_stream(self._self_headers):
            self._self_recording.note_first_token()
        if len(self._self_data) < MAX_BYTES:
            self._self_data += piece

    def _self_end(self, status: str, error: BaseException | None = None) -> None:
        """The body is over, unless it is the SDK that ends it, having read the last chunk."""
        recording = self._self_recording
        if recording.is_over or recording.is_drawn:
            return
        if self._self_reads:
            attempt("reading a provider's reply", self._self_read)
        if error is None:
            recording.end(status)
        else:
            recording.end_raised(error)

    def _self_read(self) -> None:
        whole, chunks = read_body(self._self_headers, bytes(self._self_data))
        for chunk in chunks:
            self._self_recording.add(chunk)
        if whole is not None:
            self._self_recording.fold.whole(whole)


class _Pieces:
    """One reading of a body, by whichever protocol the body has."""

    __slots__ = ("_body", "_source")

    def __init__(self, source: Any, body: _Body) -> None:
        self._source = source
        self._body = body

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> Any:
        try:
            piece = next(self._source)
        except StopIteration:
            attempt(_END, self._body._self_end, "ok")
            raise
        except BaseException as error:
            attempt(_END, self._body._self_end, "error", error)
            raise
        attempt(_CHUNK, self._body._self_take, piece)
        return piece

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> Any:
        try:
            piece = await self._source.__anext__()
        except StopAsyncIteration:
            attempt(_END, self._body._self_end, "ok")
            raise
        except BaseException as error:
            attempt(_END, self._body._self_end, "error", error)
            raise
        attempt(_CHUNK, self._body._self_take, piece)
        return piece
