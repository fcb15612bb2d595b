"""Where the `afterword` program starts (layer 6)."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the program with the process's arguments and end the process with its exit code."""
    try:
        from afterword.cli.exits import run
        from afterword.cli.program import program
    except ModuleNotFoundError as missing:
        if missing.name not in ("click", "rich"):
            raise
        sys.stderr.write(
            f"afterword: {missing.name} is not installed; pip install 'afterword[cli]'\n"
        )
        sys.exit(2)
    run(program)
