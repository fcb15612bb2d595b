"""`afterword erase`: everything of one user, gone (layer 6)."""

from __future__ import annotations

import click

from afterword.client import Client

__all__ = ["erase"]


@click.command()
@click.option("--user", required=True, help="Whose generations and feedback to remove.")
@click.option("--url", envvar="AFTERWORD_URL", help="The store.")
def erase(user: str, url: str | None) -> None:
    """Remove a user's records everywhere: the store, the spool and the dead letters.

    What stays is a tombstone with a digest of the user, which keeps out records of theirs that were
    made before and arrive later.
    """
    client = Client(url)
    try:
        client.store.open()
        click.echo(f"{client.erase(user)} rows erased")
    finally:
        client.close()
