"""`afterword demo`: starts the demo, or asks one question and ends (layer 6).

The model and the web parts are extras and slow to import, so they are imported only once the command runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

import click
from rich.console import Console

import afterword
from afterword.cli.demo.places import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_URL,
    database_file,
    record_place,
)
from afterword.cli.exits import WrongSetup
from afterword.cli.listening import listen
from afterword.errors import StoreError
from afterword.server.local_model import (
    MODEL_NAME,
    LocalModel,
    ModelLoadError,
    ModelMissingError,
)

if TYPE_CHECKING:
    from afterword.cli.demo.chat_model import ChatModel

__all__ = ["demo"]

_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an OpenAI-compatible model is, as options and environment name it."""

    base_url: str | None
    model: str | None
    api_key: str | None

    @property
    def is_local(self) -> bool:
        """Whether nothing points away from this machine's own model."""
        return not self.base_url and not self.model


@click.command()
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port; 0 takes a free one.",
)
@click.option(
    "--base-url",
    envvar="OPENAI_BASE_URL",
    help="An OpenAI-compatible endpoint instead of the local model.",
)
@click.option("--model", help="The endpoint's model; without it, the first it lists.")
@click.option(
    "--url",
    envvar="AFTERWORD_URL",
    default=DEFAULT_URL,
    show_default=True,
    help="Where the records go.",
)
@click.option(
    "--once", metavar="QUESTION", help="Ask one question, record feedback on the answer, and end."
)
def demo(
    host: str, port: int, base_url: str | None, model: str | None, url: str, once: str | None
) -> None:
    """A chat on a real language model, with feedback under every answer and the Logs beside it.

    The model is small and runs on this machine. --base-url, --model and the environment's
    OPENAI_API_KEY point the demo at any OpenAI-compatible endpoint instead.
    """
    endpoint = Endpoint(base_url, model, os.environ.get("OPENAI_API_KEY"))
    if model and not base_url and not endpoint.api_key:
        raise WrongSetup(
            "--model names a model of an endpoint; give --base-url or set OPENAI_API_KEY too"
        )
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if once is not None:
        if not once.strip():
            raise WrongSetup('--once needs a question, as in --once "Why is the sky blue?"')
        with _open_client(url) as client, _open_model(endpoint, console) as chat_model:
            _part("afterword.cli.demo.once").ask_once(client, chat_model, once, url, console)
        return
    other = port + 1 if 1024 <= port < 65535 else DEFAULT_PORT
    listener = listen(host, port, f"--port {other} (make demo PORT={other})")
    with listener, _open_client(url) as client, _open_model(endpoint, console) as chat_model:
        _serve(listener, host, client, chat_model, console)


def _part(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise WrongSetup(
            f"the demo needs {missing.name}, which is not installed; pip install 'afterword[demo]'"
        ) from None


@contextmanager
def _open_client(url: str) -> Generator[afterword.Client]:
    client = afterword.Client(url)
    try:
        _refuse_read_only(client)
        try:
            client.store.open()
        except StoreError as error:
            raise WrongSetup(
                f"{error}; choose another database with --url or AFTERWORD_URL"
            ) from error
        yield client
    finally:
        client.close()


def _refuse_read_only(client: afterword.Client) -> None:
    """A file marked read-only is left alone, even by root, whom the system would let write it."""
    path = database_file(client)
    try:
        mode = path.stat().st_mode if path else 0
    except OSError:
        return  # not there yet, or out of reach: opening it says which
    if stat.S_ISREG(mode) and not mode & 0o222:
        raise WrongSetup(
            f"the database {path} is read-only; make it writable with chmod u+w, or choose another with --url"
        )


@contextmanager
def _open_model(endpoint: Endpoint, console: Console) -> Generator[ChatModel]:
    chat_models = _part("afterword.cli.demo.chat_model")
    if not endpoint.is_local:
        try:
            remote = chat_models.remote_chat_model(
                endpoint.base_url, endpoint.model, endpoint.api_key
            )
        except chat_models.EndpointError as error:
            raise WrongSetup(str(error)) from error
        yield remote
        return
    try:
        with console.status(f"Loading {MODEL_NAME} ..."):
            model = LocalModel.load()
    except ModelMissingError as error:
        raise WrongSetup(str(error)) from error
    except ModelLoadError as error:
        raise click.ClickException(str(error)) from error
    console.print(f"Loaded {MODEL_NAME} in {model.load_duration_s:.1f} s; it runs on this machine.")
    try:
        yield chat_models.local_chat_model(model)
    finally:
        model.close()


def _serve(
    listener: socket.socket,
    host: str,
    client: afterword.Client,
    chat_model: ChatModel,
    console: Console,
) -> None:
    uvicorn = _part("uvicorn")
    app = _part("afterword.cli.demo.app").create_demo_app(client, chat_model)
    address = _address(host, listener.getsockname()[1])
    console.print()
    console.print(f"  Chat   {address}/")
    console.print(f"  Logs   {address}/afterword/")
    console.print(f"  Model  {chat_model.name}, {chat_model.place}")
    console.print(f"  Data   {record_place(client)}")
    console.print()
    if not host.startswith(_LOOPBACK):
        console.print(
            f"Warning: {host} can be reached from other machines, and so can the Logs: everything people ask and"
            " answer here is open to whoever finds this address. Use it on a network you trust."
        )
    console.print("Ctrl+C stops it.")
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=3)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    # uvicorn raises the signal that stopped it once more; as an exit, so that the client is closed.
    signal.signal(signal.SIGTERM, _leave)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        console.print("Stopped.")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the server's log is worth showing; an answer cut off by the end is not."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
