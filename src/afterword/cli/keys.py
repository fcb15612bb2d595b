"""`afterword keys`: API keys made, listed and revoked, where the store is (layer 6)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.table import Table

from afterword.cli.exits import WrongSetup
from afterword.cli.terminal import printable
from afterword.client import Client
from afterword.server.auth import is_remote
from afterword.server.keys import SCOPES, as_scopes, create_key, list_keys, revoke_key, rows_of
from afterword.stores.protocol import Store

__all__ = ["keys"]

_URL = click.option("--url", envvar="AFTERWORD_URL", help="The store.")


@click.group()
def keys() -> None:
    """Make, list and revoke the keys of the server's API."""


@keys.command()
@_URL
@click.option("--project", help="The project the key is for.")
@click.option("--all-projects", is_flag=True, help="Make the key for every project.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    help=f"What it may do: {', '.join(SCOPES)}; a comma-separated list.",
)
@click.option("--label", default="", help="A note about who has it.")
def create(
    url: str | None, project: str | None, all_projects: bool, scopes: tuple[str, ...], label: str
) -> None:
    """Make a key and print it, alone, on standard output. It cannot be shown again.

    With the first key the server closes: from then on every request needs one.
    """
    if all_projects == (project is not None):
        raise click.UsageError("Give either --project or --all-projects.")
    with _store(url) as store:
        text, key = create_key(
            store, project=project, scopes=as_scopes(",".join(scopes)), label=label
        )
    click.echo(text)
    click.echo(f"Key {key.id} made. It is shown only now.", err=True)


@keys.command(name="list")
@_URL
@click.option("--project", help="Only the keys of this project.")
def list_(url: str | None, project: str | None) -> None:
    """List the keys: what they may do, never the keys themselves."""
    with _store(url) as store:
        found = list_keys(store, project)
    if not found:
        click.echo("No keys.", err=True)
        return
    table = Table("id", "project", "scopes", "label", "created", "revoked", box=None)
    for row in rows_of(found):
        table.add_row(*(printable(cell) for cell in row))
    Console(highlight=False, markup=False, emoji=False, soft_wrap=True).print(table)


@keys.command()
@_URL
@click.argument("key_id")
def revoke(url: str | None, key_id: str) -> None:
    """End a key by its ID. Servers refuse it within a second."""
    with _store(url) as store:
        key = revoke_key(store, key_id)
    if key is None:
        # The argument may be a key by mistake, so it is not said again.
        raise click.ClickException("there is no such key; see afterword keys list")
    click.echo(f"Key {key.id} is revoked.", err=True)


@contextmanager
def _store(url: str | None) -> Generator[Store]:
    client = Client(url)
    try:
        if is_remote(client.store):
            raise WrongSetup("keys are made where the store is: give the server's own --url")
        client.store.open()
        yield client.store
    finally:
        client.close()
