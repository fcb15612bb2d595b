"""Taps on the two places a streamed reply passes: the SDK's iterator, and the HTTP body (layer 4).

The objects that the caller holds (stream, response) stay the SDK's own, class and all; only what
they draw from is stood in for.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import wrapt

from afterword.capture.providers.attempts import attempt
from afterword.capture.providers.bodies import is_event_stream, read_body
from afterword.capture.providers.recordings import Recording
from afterword.capture.strictness import settled, wait
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
    body = stream.response.stream
    if isinstance(body, _Body):
        body._self_reads = False
    else:
        _tell_of_closing(body, recording)


def _tell_of_closing(body: Any, recording: Recording) -> None:
    """End the recording when the body is closed, which is how all that reads it is closed."""

    def closed() -> None:
        # Without these, body and closures would wait for each other until the garbage is collected.
        for name in ("close", "aclose"):
            vars(body).pop(name, None)
        recording.leave()

    if hasattr(body, "aclose"):
        aclose_body = body.aclose

        async def aclose() -> None:
            try:
                await aclose_body()
            finally:
                attempt(_END, closed)

        body.aclose = aclose
    if hasattr(body, "close"):
        close_body = body.close

        def close() -> None:
            try:
                close_body()
            finally:
                attempt(_END, closed)

        body.close = close


def _tap_response(result: Any, response: Any, recording: Recording) -> None:
    if response.is_stream_consumed:
        unpacked = {"content-type": response.headers.get("content-type", "")}
        whole, chunks = read_body(unpacked, response.content)
        for chunk in chunks:
            recording.add(chunk)
        recording.reply(whole)
        return
    recording.stream()
    response.stream = _Body(response.stream, recording, response.headers)
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


class _Tap:
    """Stands where the SDK's stream has its iterator, and draws from it."""

    __slots__ = ("__weakref__", "_recording", "_source")

    def __init__(self, source: Any, recording: Recording) -> None:
        self._source = source
        self._recording = recording

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_source"), name)

    def __del__(self) -> None:
        attempt(_END, self._leave)

    def _leave(self) -> None:
        self._recording.leave()


class _Chunks(_Tap):
    """The iterator inside an SDK's stream."""

    __slots__ = ()

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        recording = self._recording
        recording.is_drawn = True
        try:
            chunk = next(self._source)
        except StopIteration:
            attempt(_END, recording.end, "ok")
            attempt(_END, wait, recording.call)
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

    __slots__ = ()

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        recording = self._recording
        recording.is_drawn = True
        try:
            chunk = await self._source.__anext__()
        except StopAsyncIteration:
            attempt(_END, recording.end, "ok")
            await settled(recording.call)
            raise
        except BaseException as error:
            attempt(_END, recording.end_raised, error)
            raise
        finally:
            recording.is_drawn = False
        attempt(_CHUNK, recording.add, chunk)
        return chunk


class _Body(wrapt.BaseObjectProxy[Any]):
    """The bytes of an HTTP response that the caller reads past the SDK's parsing."""

    def __init__(self, wrapped: Any, recording: Recording, headers: Any) -> None:
        super().__init__(wrapped)
        self._self_recording = recording
        self._self_headers = headers
        #: Whether it is the caller who reads, and not a stream made by `parse`.
        self._self_reads = True
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
            attempt(_END, self._self_leave)

    async def aclose(self) -> None:
        try:
            await self.__wrapped__.aclose()
        finally:
            attempt(_END, self._self_leave)

    def __del__(self) -> None:
        attempt(_END, self._self_leave)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def _self_leave(self) -> None:
        if not self._self_recording.is_over:
            self._self_read()
            self._self_recording.leave()

    def _self_take(self, piece: bytes) -> None:
        if is_event_stream(self._self_headers):
            self._self_recording.note_first_token()
        if len(self._self_data) < MAX_BYTES:
            self._self_data += piece

    def _self_end(self, error: BaseException | None = None) -> None:
        """All of it has been read, or reading it raised."""
        self._self_read()
        if error is None:
            self._self_recording.end("ok")
        else:
            self._self_recording.end_raised(error)

    def _self_read(self) -> None:
        if self._self_reads:
            attempt("reading a provider's reply", self._self_fold)

    def _self_fold(self) -> None:
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
            attempt(_END, self._body._self_end)
            attempt(_END, wait, self._body._self_recording.call)
            raise
        except BaseException as error:
            attempt(_END, self._body._self_end, error)
            raise
        attempt(_CHUNK, self._body._self_take, piece)
        return piece

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> Any:
        try:
            piece = await self._source.__anext__()
        except StopAsyncIteration:
            attempt(_END, self._body._self_end)
            await settled(self._body._self_recording.call)
            raise
        except BaseException as error:
            attempt(_END, self._body._self_end, error)
            raise
        attempt(_CHUNK, self._body._self_take, piece)
        return piece
