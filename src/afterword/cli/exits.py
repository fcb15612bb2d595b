"""How the `afterword` program ends: 0 done, 1 failed, 2 wrong usage or configuration (layer 6).

Every problem is told in one line on standard error that says what is wrong and how to mend it.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from afterword.cli.terminal import printable
from afterword.errors import AfterwordError, ConfigError, InvalidInput

__all__ = ["WrongSetup", "run"]


class WrongSetup(click.ClickException):
    """The command cannot start as it was called or configured; the message says what to change."""

    exit_code = 2


def run(program: click.Group) -> NoReturn:
    """Run `program` with the process's arguments and end the process."""
    try:
        result = program.main(prog_name="afterword", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "afterword"
        _end(f"{error.format_message()} See '{command} --help'.", error.exit_code)
    except click.ClickException as error:
        _end(error.format_message(), error.exit_code)
    except AfterwordError as error:
        _end(str(error), 2 if isinstance(error, (ConfigError, InvalidInput)) else 1)
    except click.Abort:
        sys.exit(130)
    # Without standalone mode, click gives back the code of an early end, as of --help.
    sys.exit(result if isinstance(result, int) else 0)


def _end(message: str, exit_code: int) -> NoReturn:
    click.echo(f"afterword: {printable(' '.join(message.split()))}", err=True)
    sys.exit(exit_code)
