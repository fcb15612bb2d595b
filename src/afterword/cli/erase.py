"""`afterword erase`: everything of one user, gone (layer 6)."""

from __future__ import annotations

import click

from afterword.client import Client
from afterword.configuration import configuration
from afterword.delivery.opening import folder_of, projects_beside
from afterword.errors import DeliveryError

__all__ = ["erase"]


@click.command()
@click.option("--user", required=True, help="Whose generations and feedback to remove.")
@click.option("--url", envvar="AFTERWORD_URL", help="The store.")
def erase(user: str, url: str | None) -> None:
    """Remove a user's records everywhere: the store, the spools of all projects, the dead letters.

    What stays is a tombstone with a digest of the user, which keeps out records of theirs that were
    made before and arrive later. It ends with 1 when records that may be theirs still wait on this
    disk, for a running process to deliver them; run it again then.
    """
    settings = configuration(url=url)
    client = Client(settings.url)
    searched = {folder_of(client.store, client.project, settings.spool)}
    waiting: list[DeliveryError] = []
    erased = 0

    def erase_in(one: Client) -> None:
        nonlocal erased
        try:
            erased += one.erase(user)
        except DeliveryError as error:
            waiting.append(error)

    try:
        client.store.open()
        others = projects_beside(client.store, client.project, settings.spool)
        erase_in(client)
        for project in others:
            folder = folder_of(client.store, project, settings.spool)
            if folder not in searched:
                searched.add(folder)
                other = Client(settings.url, project)
                try:
                    erase_in(other)
                finally:
                    other.close()
    finally:
        client.close()
    if waiting:
        raise waiting[0]
    click.echo(f"{erased} records erased")
