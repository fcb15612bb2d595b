"""`afterword dead-letters`: records that the store refused, listed, tried again or removed (layer 6)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import click
from rich.console import Console
from rich.progress import Progress

from afterword.cli.exits import WrongSetup
from afterword.cli.terminal import printable
from afterword.configuration import configuration
from afterword.delivery.dead_letters import SUFFIX, DeadLetter, DeadLetters, reason_of
from afterword.delivery.files import RealFiles
from afterword.delivery.folder import found
from afterword.delivery.halving import AWAY
from afterword.delivery.opening import folder_of
from afterword.errors import AfterwordError
from afterword.model import from_microseconds
from afterword.stores import Store, open_store

__all__ = ["dead_letters"]

_REASON_CHARS = 300

T = TypeVar("T")

_URL = click.option("--url", envvar="AFTERWORD_URL", help="The store that refused them.")
_PROJECT = click.option(
    "--project",
    envvar="AFTERWORD_PROJECT",
    help="Whose spool, where each project has its own: AFTERWORD_SPOOL, a server, PostgreSQL.",
)
_IDS = click.argument("ids", nargs=-1)
_ALL = click.option("--all", "is_all", is_flag=True, help="All of them.")


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that the store refused, kept in the spool with the reason."""


@dead_letters.command(name="list")
@_URL
@_PROJECT
def list_(url: str | None, project: str | None) -> None:
    """List them, the oldest first: ID, kind, project, when and why, a tab between.

    The store is not asked, so it may be away.
    """
    with _opened(url, project) as spool:
        names = spool.letters.names()
        if not names:
            click.echo(f"No dead letters in {printable(spool.folder)}.", err=True)
            return
        for name in _shown(names, "Reading"):
            cells = (printable(" ".join(cell.split())) for cell in _row(spool, name))
            click.echo("\t".join(cells))


@dead_letters.command()
@_URL
@_PROJECT
@_IDS
@_ALL
def replay(url: str | None, project: str | None, ids: tuple[str, ...], is_all: bool) -> None:
    """Give letters to the store once more, by their IDs or all of them.

    What it takes is no dead letter any more. It ends with 1 when any is still refused.
    """
    taken, refused = 0, 0
    with _opened(url, project) as spool:
        names = _chosen(spool, ids, is_all=is_all)
        for name in _shown(names, "Replaying"):
            letter = spool.letters.get(name)
            try:
                if letter is None:
                    raise AfterwordError("the letter is damaged and cannot be read")
                spool.letters.replay(letter, spool.store)
            except AWAY as error:
                raise click.ClickException(
                    f"the store is away ({reason_of(error)}); {taken} were taken, "
                    f"{len(names) - taken} are still dead letters"
                ) from error
            except Exception as error:
                # Whatever a record makes of a store, the next one may be better.
                refused += 1
                click.echo(
                    printable(f"{_id(spool, name)}: {' '.join(reason_of(error).split())}"), err=True
                )
            else:
                taken += 1
    click.echo(f"{taken} taken, {refused} still refused")
    if refused:
        raise click.ClickException(f"{refused} of {len(names)} letters are still refused")


@dead_letters.command()
@_URL
@_PROJECT
@_IDS
@_ALL
def drop(url: str | None, project: str | None, ids: tuple[str, ...], is_all: bool) -> None:
    """Remove letters for good, by their IDs or all of them."""
    with _opened(url, project) as spool:
        names = _chosen(spool, ids, is_all=is_all)
        for name in _shown(names, "Dropping"):
            spool.letters.drop(name)
    click.echo(f"{len(names)} dropped")


class _Opened(NamedTuple):
    """A spool's letters, where they are, and the store that refused them."""

    folder: str
    letters: DeadLetters
    store: Store


@contextmanager
def _opened(url: str | None, project: str | None) -> Generator[_Opened]:
    settings = configuration(url=url, project=project)
    # No client: that would begin to deliver what waits in the spool.
    store = open_store(settings.url, api_key=settings.api_key)
    try:
        folder = folder_of(store, settings.project, settings.spool)
        if folder is None:
            raise WrongSetup(f"{store.url} keeps no spool on disk, so it has no dead letters")
        found(folder, settings.spool)
        yield _Opened(folder, DeadLetters(RealFiles(folder)), store)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    finally:
        store.close()


def _chosen(spool: _Opened, ids: Sequence[str], *, is_all: bool) -> list[str]:
    """The files of the letters that the command is for."""
    if is_all == bool(ids):
        raise click.UsageError("Give either IDs or --all.")
    names = spool.letters.names()
    if is_all:
        return names
    wanted = set(ids)
    chosen: list[str] = []
    for name in _shown(names, "Looking"):
        known = {_id(spool, name), name.removesuffix(SUFFIX)} & wanted
        if known:
            chosen.append(name)
            ids = [one for one in ids if one not in known]
    if ids:
        raise click.ClickException(f"there is no dead letter {ids[0]}; nothing was done")
    return chosen


def _id(spool: _Opened, name: str) -> str:
    letter = spool.letters.get(name)
    return name.removesuffix(SUFFIX) if letter is None else letter.id


def _row(spool: _Opened, name: str) -> tuple[str, ...]:
    letter: DeadLetter | None = spool.letters.get(name)
    if letter is None:
        return name.removesuffix(SUFFIX), "damaged", "", "", "the letter cannot be read"
    when = from_microseconds(letter.at).strftime("%Y-%m-%d %H:%M:%SZ")
    return letter.id, letter.kind, letter.project, when, letter.reason[:_REASON_CHARS]


def _shown(items: Sequence[T], doing: str) -> Iterable[T]:
    """The items, with a bar on a terminal when there are many."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, description=doing)
