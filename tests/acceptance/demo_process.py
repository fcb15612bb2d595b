"""`afterword demo` as a process of its own, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import afterword

SOURCE = Path(afterword.__file__).parents[1]
STOP_S = 20


@dataclass
class Demo:
    """A demo server of its own process: where it listens and where it keeps its records."""

    url: str
    database: str
    printed: str


def demo_command(*arguments: str) -> list[str]:
    program = "from afterword.cli.main import main; main()"
    return [sys.executable, "-c", program, "demo", *arguments]


def demo_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would point the demo elsewhere."""
    ours = ("AFTERWORD_", "OPENAI_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(SOURCE), **extra}


def run_demo(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`afterword demo ...` in `folder`, to its end."""
    return subprocess.run(
        demo_command(*arguments),
        cwd=folder,
        env=demo_environment(**environment),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@contextmanager
def demo_running(folder: Path) -> Iterator[Demo]:
    """A demo that serves on a free port; its end must be clean."""
    errors = folder / "errors.txt"
    with (
        errors.open("w+") as error_output,
        subprocess.Popen(
            demo_command("--port", "0"),
            cwd=folder,
            env=demo_environment(),
            stdout=subprocess.PIPE,
            stderr=error_output,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            printed = ""
            for line in process.stdout:
                printed += line
                if line.startswith("Ctrl+C"):
                    break
            words = printed.split()
            assert "Chat" in words, f"{printed}\n{errors.read_text()}"
            yield Demo(
                url=words[words.index("Chat") + 1].rstrip("/"),
                database=f"sqlite:///{folder / 'afterword-demo.db'}",
                printed=printed,
            )
        finally:
            process.terminate()
            process.wait(STOP_S)
    assert process.returncode == 0
    assert "Traceback" not in errors.read_text()
