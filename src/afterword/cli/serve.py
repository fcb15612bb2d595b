"""`afterword serve`: the API and the Logs pages as a server (layer 6)."""

from __future__ import annotations

import gc
import ipaddress
import logging
import signal
import socket
from importlib import import_module
from types import FrameType, ModuleType
from typing import Any

import click

from afterword.cli.exits import WrongSetup
from afterword.cli.listening import listen
from afterword.client import Client
from afterword.errors import StoreError

__all__ = ["serve"]

DEFAULT_PORT = 8787


@click.command()
@click.option("--url", envvar="AFTERWORD_URL", help="The store.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    help="A host name to answer for besides localhost, as behind a proxy; may be repeated.",
)
@click.option(
    "--public-ok",
    is_flag=True,
    help="Start on a public address though there is no key: something in front asks who comes.",
)
@click.option(
    "--keep-days",
    envvar="AFTERWORD_KEEP_DAYS",
    type=click.IntRange(1, 36_500),
    help="Remove generations older than this, once an hour; all are kept without it.",
)
def serve(
    url: str | None,
    host: str,
    port: int,
    allowed: tuple[str, ...],
    public_ok: bool,
    keep_days: int | None,
) -> None:
    """Serve the API, Humanloop's API and the Logs pages.

    On a loopback address the server is open until the first key is made (`afterword keys create`),
    and closed from then on. On any other it does not start without a key.
    """
    uvicorn, auth, server = _parts("uvicorn", "afterword.server.auth", "afterword.server")
    guard = import_module("afterword.server.guard")
    retaining = import_module("afterword.server.retaining").retaining
    listener = listen(host, port, "--port")
    with listener:
        client = Client(url)
        try:
            try:
                client.store.open()
            except StoreError as error:
                raise WrongSetup(
                    f"{error}; choose another store with --url or AFTERWORD_URL"
                ) from error
            if keep_days is not None and auth.is_remote(client.store):
                raise WrongSetup("--keep-days is for the server that has the store itself")
            is_public = not ipaddress.ip_address(_bound(listener)[0]).is_loopback
            is_open = auth.Gate(client).is_open()
            if is_public and is_open and not public_ok:
                raise WrongSetup(_needs_key(host, auth.is_remote(client.store)))
            hosts = None if is_public and not allowed else {*guard.LOOPBACK_HOSTS, *allowed}
            app = server.create_app(client, is_public=is_public and not public_ok, hosts=hosts)
            _tell(listener, client, is_open)
            with retaining(client.store, keep_days):
                _run(uvicorn, app, listener)
        finally:
            client.close()


def _parts(*names: str) -> list[ModuleType]:
    try:
        return [import_module(name) for name in names]
    except ModuleNotFoundError as missing:
        raise WrongSetup(
            f"the server needs {missing.name}, which is not installed;"
            " pip install 'afterword[server]'"
        ) from None


def _needs_key(host: str, is_remote: bool) -> str:
    if is_remote:
        return (
            f"in front of another server there are no keys to ask for, so {host} would be open to all;"
            " listen on 127.0.0.1, or say --public-ok"
        )
    return (
        f"{host} can be reached from other machines and there is no key yet; make one with"
        " 'afterword keys create --project NAME --scope admin', or listen on 127.0.0.1"
    )


def _tell(listener: socket.socket, client: Client, is_open: bool) -> None:
    host, port = _bound(listener)
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"Afterword serves {client.store.url} at http://{shown}:{port}", err=True)
    if is_open:
        click.echo("No key is needed: everyone who reaches this address can read it all.", err=True)


def _bound(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return str(host).partition("%")[0], int(port)


def _run(uvicorn: Any, app: Any, listener: socket.socket) -> None:
    logging.basicConfig(level=logging.WARNING, format="afterword: %(message)s")
    config = uvicorn.Config(
        app,
        http=import_module("afterword.server.corking").CorkedProtocol,
        ws="none",
        log_config=None,
        lifespan="off",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=65_536,
    )
    # What is here by now stays; the garbage collector would look at all of it several times a second,
    # and every request would wait for 30 ms meanwhile.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal that stopped it once more; as an exit, so that the client is closed.
    signal.signal(signal.SIGTERM, _leave)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
