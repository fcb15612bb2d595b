"""Connections whose every wait ends at one deadline (layer 2).

httpx counts its timeouts a read; a server that sends a byte each second would be waited for without
end. Here every connect, TLS handshake, read and write gets what is left of the request's whole time.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

__all__ = ["DeadlineTransport"]

#: What a socket is given when the deadline has passed: it may not be 0, which means no waiting.
_LEAST_S = 0.001


class DeadlineTransport(httpx.BaseTransport):
    """An httpx transport on which `within` bounds all that happens in this thread."""

    def __init__(self, *, max_connections: int = 40) -> None:
        self._clock = _Clock()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=4.0,  # less than servers keep them, so that few are found closed
            network_backend=_Network(self._clock),
        )

    @contextmanager
    def within(self, seconds: float) -> Generator[None]:
        """Whatever this thread asks for in the block is over in so many seconds."""
        self._clock.start(seconds)
        try:
            yield
        finally:
            self._clock.stop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={**request.extensions, "timeout": {"pool": self._clock.left(None)}},
        )
        with _errors():
            answer = self._answered(asked)
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    def _answered(self, asked: httpcore.Request) -> httpcore.Response:
        """The answer, on a new connection if the server hung up on one that it had kept.

        That it does so just when the connection is used again is no sign that it is away. Whatever
        a store is asked may be asked twice.
        """
        while True:
            self._clock.has_connected = False
            try:
                return self._pool.handle_request(asked)
            except (httpcore.NetworkError, httpcore.RemoteProtocolError):
                if self._clock.has_connected:
                    raise

    def close(self) -> None:
        self._pool.close()


class _Clock(threading.local):
    """When this thread's request must be over."""

    until_s: float | None = None
    #: Whether it took a new connection.
    has_connected = False

    def start(self, seconds: float) -> None:
        self.until_s = time.monotonic() + seconds

    def stop(self) -> None:
        self.until_s = None

    def left(self, asked_s: float | None) -> float | None:
        if self.until_s is None:
            return asked_s
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise httpcore.ReadTimeout("the time for the whole request is over")
        return max(left_s if asked_s is None else min(asked_s, left_s), _LEAST_S)


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _errors():
            yield from self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class _Network(httpcore.NetworkBackend):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        self._clock.has_connected = True
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _addresses(host, port, self._clock.left(timeout)):
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._clock.left(timeout), local_address, socket_options
                )
                return _Stream(stream, self._clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("unix sockets are not used")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, clock: _Clock) -> None:
        self._inner = inner
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # The inner loop gives each of its sends the timeout anew, so it gets a piece at a time.
        view = memoryview(buffer)
        for start in range(0, len(view), _WRITE_BYTES):
            piece = bytes(view[start : start + _WRITE_BYTES])
            self._inner.write(piece, self._clock.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._clock.left(timeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


_WRITE_BYTES = 65_536


def _addresses(host: str, port: int, timeout_s: float | None) -> list[str]:
    """The addresses of a host, within the time: the system's resolver knows no timeout."""
    try:
        ipaddress.ip_address(host)
        return [host]
    except ValueError:
        pass
    found: list[str] = []
    errors: list[OSError] = []

    def resolve() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                if str(address[0]) not in found:
                    found.append(str(address[0]))
        except OSError as error:
            errors.append(error)

    resolver = threading.Thread(target=resolve, name="afterword-resolver", daemon=True)
    try:
        resolver.start()
    except RuntimeError:  # the interpreter is going down: no new threads
        resolve()
    else:
        resolver.join(timeout_s)
    if errors:
        raise httpcore.ConnectError(str(errors[0]))
    if not found:
        raise httpcore.ConnectTimeout(f"{host} was not resolved in time")
    return list(found)


@contextmanager
def _errors() -> Generator[None]:
    """Turn what httpcore raises into what httpx raises."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise httpx.TransportError(str(error)) from error
