"""What is public is in `__all__` and in the reference, and nothing else is in either."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
#: Each public module, and the page that documents it. A heading "### `name`" documents a name.
PAGES = {
    "afterword": "api.md",
    "afterword.asgi": "asgi.md",
    "afterword.errors": "errors.md",
    "afterword.server": "server.md",
}
_HEADING = re.compile(r"^#{2,4} `(?:@)?([A-Za-z_][A-Za-z0-9_]*)", re.MULTILINE)


@pytest.mark.parametrize(("module", "page"), PAGES.items())
def test_the_reference_documents_exactly_the_public_names(module: str, page: str) -> None:
    documented = set(_HEADING.findall((REFERENCE / page).read_text("utf-8")))
    public = set(importlib.import_module(module).__all__)
    if module == "afterword":
        # Errors have a page of their own.
        public -= set(importlib.import_module("afterword.errors").__all__)
    assert documented == public


@pytest.mark.parametrize("module", PAGES)
def test_public_names_exist_are_sorted_and_have_docstrings(module: str) -> None:
    found = importlib.import_module(module)
    assert list(found.__all__) == sorted(found.__all__)
    bare = [
        name
        for name in found.__all__
        if callable(getattr(found, name)) and not inspect.getdoc(getattr(found, name))
    ]
    assert not bare


def test_every_method_of_the_client_is_in_the_reference() -> None:
    client = importlib.import_module("afterword").Client
    text = (REFERENCE / "api.md").read_text("utf-8")
    methods = [
        name
        for name, member in vars(client).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    ]
    missing = [name for name in methods if f"`{name}" not in text]
    assert not missing


def test_the_reference_says_what_the_docstrings_say() -> None:
    tool = REFERENCE.parents[1] / "tools" / "reference.py"
    done = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}run: python tools/reference.py"
