"""`afterword export`: records as one file, for spreadsheets and for programs (layer 6)."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from afterword.cli.terminal import printable
from afterword.configuration import check_project, configuration
from afterword.insight.exporters import exporter, format_names
from afterword.insight.exporting import KINDS, records
from afterword.listing import query
from afterword.stores import open_store

__all__ = ["export"]

_DEFAULT_FORMAT = "jsonl"
#: What else a listing may ask for; here, nothing.
_ANY: dict[str, Any] = dict.fromkeys(
    (
        "name", "version", "model", "status", "user", "session", "feedback", "sentiment", "text",
        "after",
    )
)  # fmt: skip


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option(
    "--format",
    "form",
    type=click.Choice(format_names()),
    help=f"Without it, as the file's name ends, else {_DEFAULT_FORMAT}.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; without it, standard output.",
)
@click.option("--project", help="This project only; without it, all of them.")
@click.option("--since", help="An ISO 8601 time: generations from then on.")
@click.option("--until", help="An ISO 8601 time: generations before it.")
@click.option(
    "--history", is_flag=True, help="Of feedback: every statement, not current ones only."
)
@click.option("--url", envvar="AFTERWORD_URL", help="The store.")
def export(
    kind: str,
    form: str | None,
    output: Path | None,
    project: str | None,
    since: str | None,
    until: str | None,
    history: bool,
    url: str | None,
) -> None:
    """Export generations, feedback or corrections, project by project, newest first.

    A file is there whole or not at all, and only you may read it. In CSV, text that a spreadsheet
    would compute gets an apostrophe before it; JSON Lines are as they are kept.
    """
    if project is not None:
        check_project(project)
    if output is not None and output.exists() and not output.is_file():
        raise click.UsageError(f"{output} is not a file; leave --output out to pipe.")
    filters = {**_ANY, "project": project, "since": since, "until": until, "limit": 1}
    wanted = query(filters, {})
    settings = configuration(url=url)
    made = exporter(form or _named(output))
    # No client: that would begin to deliver what waits in the spool.
    store = open_store(settings.url, api_key=settings.api_key)
    try:
        store.open()
        found = records(store, kind, wanted, history=history)
        if output is None:
            _pour(made.write(KINDS[kind].columns, found), sys.stdout.buffer)
            return
        with _shown(found, kind) as (shown, count), _whole(output) as file:
            _pour(made.write(KINDS[kind].columns, shown), file)
        told = f"{count[0]} {kind} written to {output}"
    except BrokenPipeError:
        raise  # whoever reads has enough
    except OSError as error:
        raise click.ClickException(f"{error.filename or output}: {error.strerror}") from error
    finally:
        store.close()
    click.echo(printable(told), err=True)


def _named(output: Path | None) -> str:
    """The format that a file's name tells of."""
    ending = "" if output is None else output.suffix.removeprefix(".").lower()
    return ending if ending in format_names() else _DEFAULT_FORMAT


def _pour(pieces: Iterable[bytes], file: BinaryIO) -> None:
    file.writelines(pieces)
    file.flush()


@contextmanager
def _whole(path: Path) -> Generator[BinaryIO]:
    """A file that gets its name when all of it is on disk; until then, and on an error, nothing."""
    handle, name = tempfile.mkstemp(prefix=".afterword-", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with open(handle, "wb") as file:
            yield file
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _shown(found: Iterator[Any], kind: str) -> Generator[tuple[Iterator[Any], list[int]]]:
    """The records, counted; on a terminal the count is shown."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    count = [0]
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(kind, total=None)

        def counted() -> Iterator[Any]:
            for record in found:
                count[0] += 1
                if count[0] % 100 == 0:
                    progress.update(task, description=f"{count[0]:,} {kind}")
                yield record

        yield counted(), count
