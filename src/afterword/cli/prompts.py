"""`afterword prompts`: versions of a project's prompt, and which one is deployed (layer 6)."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from afterword.client import Client
from afterword.configuration import check_project
from afterword.errors import ConfigError, InvalidInput
from afterword.prompts import (
    PRODUCTION,
    PromptShelf,
    PromptVersion,
    difference,
    make_version,
    template_of,
)

__all__ = ["prompts"]

_URL = click.option("--url", envvar="AFTERWORD_URL", help="The store.")
_ENVIRONMENT = click.option("--environment", default=PRODUCTION, show_default=True)


@click.group()
def prompts() -> None:
    """Register, list, compare and deploy versions of prompts."""


@prompts.command("list")
@click.argument("project", required=False)
@_URL
def list_versions(project: str | None, url: str | None) -> None:
    """List the versions of PROJECT, newest first, or the projects that have any."""
    with _shelf(url) as shelf:
        if project is None:
            for name in shelf.projects():
                click.echo(name)
            return
        places: dict[str, list[str]] = {}
        for environment, version_id in shelf.deployments(project).items():
            places.setdefault(version_id, []).append(environment)
        for version in shelf.versions(project):
            deployed = ",".join(places.get(version.id, ())) or "-"
            when = f"{version.created_at:%Y-%m-%d %H:%M}"
            click.echo("\t".join((version.id, when, deployed, version.model, version.name or "")))


@prompts.command()
@click.argument("project")
@click.argument("template", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--model", required=True)
@click.option("--provider", default="openai", show_default=True)
@click.option("--endpoint", type=click.Choice(["chat", "complete"]))
@click.option("--set", "settings", multiple=True, metavar="NAME=JSON", help="As temperature=0.2.")
@click.option("--name", help="What people call this version.")
@click.option("--deploy", "environment", help="Deploy it to this environment.")
@_URL
def register(
    project: str,
    template: str,
    model: str,
    provider: str,
    endpoint: str | None,
    settings: tuple[str, ...],
    name: str | None,
    environment: str | None,
    url: str | None,
) -> None:
    """Register the file TEMPLATE (- for standard input) as a version of PROJECT; prints its ID.

    A file with a JSON list is a chat template, any other is text. The first version of a project
    is deployed to production at once.
    """
    try:
        check_project(project)
    except ConfigError as error:
        raise InvalidInput(str(error), field="project") from None
    text = sys.stdin.read() if template == "-" else _text(template)
    version = make_version(
        model=model,
        provider=provider,
        endpoint=endpoint,
        # Editors end a file with a line feed that is no part of the prompt.
        template=template_of(text.removesuffix("\n")),
        parameters=dict(map(_setting, settings)),
        name=name,
    )
    with _shelf(url) as shelf:
        kept = shelf.register(project, version, deploy_first=True)
        if environment is not None:
            shelf.deploy(project, kept.id, environment)
        click.echo(kept.id)


@prompts.command()
@click.argument("project")
@click.argument("version_id")
@_ENVIRONMENT
@_URL
def deploy(project: str, version_id: str, environment: str, url: str | None) -> None:
    """Make VERSION_ID the version that calls of PROJECT use."""
    with _shelf(url) as shelf:
        shelf.deploy(project, version_id, environment)
        click.echo(f"{version_id} is deployed to {environment} of {project}")


@prompts.command()
@click.argument("project")
@click.argument("version_id", required=False)
@_ENVIRONMENT
@_URL
def show(project: str, version_id: str | None, environment: str, url: str | None) -> None:
    """Show a version as JSON: VERSION_ID, or else the one deployed."""
    with _shelf(url) as shelf:
        found = (
            shelf.deployed(project, environment)
            if version_id is None
            else _known(shelf, project, version_id)
        )
        if found is None:
            raise InvalidInput(f"project {project!r} has nothing deployed to {environment!r}")
        shown = {
            "id": found.id,
            "model": found.model,
            "provider": found.provider,
            "endpoint": found.endpoint,
            "template": found.template,
            "parameters": found.parameters,
            "tools": found.tools,
            "name": found.name,
            "created_at": found.created_at.isoformat(),
        }
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


@prompts.command()
@click.argument("project")
@click.argument("old")
@click.argument("new")
@_URL
def diff(project: str, old: str, new: str, url: str | None) -> None:
    """Compare the versions OLD and NEW of PROJECT."""
    with _shelf(url) as shelf:
        for line in difference(_known(shelf, project, old), _known(shelf, project, new)):
            click.echo(line)


@contextmanager
def _shelf(url: str | None) -> Generator[PromptShelf, None, None]:
    client = Client(url)
    try:
        yield PromptShelf(client.store)
    finally:
        client.close()


def _known(shelf: PromptShelf, project: str, version_id: str) -> PromptVersion:
    found = shelf.version(project, version_id)
    if found is None:
        raise InvalidInput(f"project {project!r} has no version {version_id!r}", field="version")
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as text: {error}", field="template") from None


def _setting(given: str) -> tuple[str, Any]:
    name, equals, text = given.partition("=")
    if not equals:
        raise click.BadParameter(f"{given!r} is not NAME=JSON", param_hint="--set")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text
