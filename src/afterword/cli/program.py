"""The `afterword` program: one click group, one command a folder or file (layer 6)."""

from __future__ import annotations

import click

from afterword.cli.dead_letters import dead_letters
from afterword.cli.demo.command import demo
from afterword.cli.doctor.command import doctor
from afterword.cli.erase import erase
from afterword.cli.export import export
from afterword.cli.importing import import_
from afterword.cli.keys import keys
from afterword.cli.prompts import prompts
from afterword.cli.retention import retention
from afterword.cli.serve import serve

__all__ = ["program"]


@click.group()
@click.version_option(package_name="afterword", message="afterword %(version)s")
def program() -> None:
    """Log what language models answer, and what people make of it."""


program.add_command(dead_letters)
program.add_command(demo)
program.add_command(doctor)
program.add_command(erase)
program.add_command(export)
program.add_command(import_)
program.add_command(prompts)
program.add_command(keys)
program.add_command(retention)
program.add_command(serve)
