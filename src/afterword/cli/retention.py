"""`afterword retention`: generations older than so many days, gone (layer 6)."""

from __future__ import annotations

import click

from afterword.cli.exits import WrongSetup
from afterword.client import Client
from afterword.stores.retention import remove_old, stop

__all__ = ["retention"]


@click.command()
@click.option("--keep-days", type=click.IntRange(1, 36_500), help="Remove what is older than this.")
@click.option("--confirm", is_flag=True, help="The clock of this machine is right; go by it.")
@click.option("--off", is_flag=True, help="Let records of any age be written again.")
@click.option("--url", envvar="AFTERWORD_URL", help="The store.")
def retention(keep_days: int | None, confirm: bool, off: bool, url: str | None) -> None:
    """Remove generations made more than so many days ago, with their feedback.

    Records of that age that arrive later are left out from then on, until --off. Where the clock
    has moved by more than a day against what is known of the time, nothing is removed without
    --confirm. `afterword serve --keep-days` does the same, once an hour.
    """
    if off == (keep_days is not None):
        raise click.UsageError("Give either --keep-days or --off.")
    client = Client(url)
    try:
        if client.store.url.startswith(("http:", "https:")):
            raise WrongSetup(
                "old records are removed where the store is: give the server's own --url"
            )
        client.store.open()
        if keep_days is None:
            told = "any age" if stop(client.store) else "any age, as before"
            click.echo(f"records of {told} are written")
            return
        removed = remove_old(client.store, keep_days, confirmed=confirm)
        click.echo(f"{removed} generations removed")
    finally:
        client.close()
