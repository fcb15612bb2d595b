"""`afterword import`: records that another service exported (layer 6)."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from afterword.cli.terminal import printable
from afterword.client import Client
from afterword.configuration import check_project
from afterword.importing import Outcome, import_file

__all__ = ["import_"]


@click.group("import")
def import_() -> None:
    """Bring records along that another service exported."""


@import_.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--url", envvar="AFTERWORD_URL", help="The store.")
@click.option("--project", help="Put all of it into this project instead of the exported ones.")
def humanloop(files: tuple[Path, ...], url: str | None, project: str | None) -> None:
    """Import Humanloop's exports: pages of v4 logs and v5 logs, as JSON, JSON Lines or CSV.

    IDs, times and users stay as they are, so that running it twice changes nothing. Each record
    that cannot be read is told with its file and line, and the rest is imported.
    """
    if project is not None:
        check_project(project)
    client = Client(url)
    outcomes: list[Outcome] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        client.store.open()
        console = Console(stderr=True)
        shown = console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
            for path in files:
                task = progress.add_task(path.name, total=None)
                found = 0

                def counted(task: object = task, path: Path = path) -> None:
                    nonlocal found
                    found += 1
                    progress.update(task, description=f"{path.name}: {found} records")  # type: ignore[arg-type]

                outcomes.append(
                    import_file(client, path, "humanloop", project=project, on_record=counted)
                )
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    finally:
        client.close()
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    for problem in problems:
        click.echo(printable(str(problem)), err=True)
    generations = sum(outcome.generations for outcome in outcomes)
    feedback = sum(outcome.feedback for outcome in outcomes)
    click.echo(f"{generations} generations and {feedback} feedback imported")
    if problems:
        raise click.ClickException(f"{len(problems)} records or statements were left out")
