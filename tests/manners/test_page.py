"""The page that states the promises names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "manners.md"


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)[`\[]", PAGE.read_text("utf-8")))
    there = {
        name
        for file in HERE.glob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    assert named - there == set()
    assert len(named) > 20


def test_every_action_that_the_page_names_is_one_of_the_matrix() -> None:
    matrix = HERE.joinpath("test_matrix.py").read_text("utf-8")
    groups = re.findall(r"(?:\.\.\.|one)\[([\w, ]+)\]", PAGE.read_text("utf-8"))
    named = {name.strip() for group in groups for name in group.split(",")}
    assert named == set(re.findall(r"^def (\w+)\(kind: Kind, module", matrix, re.MULTILINE)) - {
        "_use"
    }
