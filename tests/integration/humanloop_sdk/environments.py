"""Virtual environments with one version of Humanloop's SDK each, kept between runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def python_with(*requirements: str) -> Path:
    """The interpreter of an environment that has these; made when there is none yet."""
    name = "-".join(["afterword", *requirements, "py", *map(str, sys.version_info[:2])])
    home = Path(tempfile.gettempdir()) / f"{name}-{os.getuid() if hasattr(os, 'getuid') else 0}"
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *requirements,
            ],
            check=True,
        )
        done.touch()
    return python


def said(script: str, requirement: str, *arguments: str) -> dict[str, Any]:
    """What a script of this folder prints when the SDK runs it."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python_with(requirement), HERE / script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=clean,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
