"""A listening socket for commands that serve, with problems told in their words (layer 6)."""

from __future__ import annotations

import errno
import socket

from afterword.cli.exits import WrongSetup

__all__ = ["listen"]

_BACKLOG = 2_048


def listen(host: str, port: int, instead: str) -> socket.socket:
    """A socket that listens there. `instead` says how to choose another port.

    Raises:
        WrongSetup: the address or the port cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
    except (OSError, UnicodeError):
        raise WrongSetup(f"--host {host} is no address of this machine") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise WrongSetup(f"--host {host} is no address of this machine") from None
        reason = (
            "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        )
        raise WrongSetup(f"port {port} on {host} {reason}; choose another: {instead}") from None
    return listener
