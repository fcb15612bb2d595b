"""What the security page promises: its tests exist, and rules that hold for all of the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "afterword"
PAGE = ROOT / "docs" / "explanation" / "security.md"
ROW = re.compile(r"^\| (S\d\d) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text("utf-8"))
THREATS = [*range(1, 20), 22, 23, 24, 27, 28, 32]

#: What can reach the network, and why it does.
NETWORK = {
    "cli": "asks the addresses that the operator names, and listens",
    "stores": "asks the server that the store's URL names",
    "server/humanloop": "asks the model providers that the environment names",
}
NETWORK_MODULES = {"httpx", "requests", "aiohttp", "socket", "urllib.request", "http.client"}
#: A named statement, or a constant of the module.
FIXED = r"(_?SQL\['\w+'\]|_?[A-Z_]+)"
#: The one statement that is put together: `where` holds the named filters that were asked for.
LISTING = "f\"{SELECT_GENERATION}{where}{SQL['newest_first']}\""
#: What can hold code in its data, and what runs text as code.
RUNS_CODE = {"pickle", "marshal", "shelve", "dill", "yaml", "jsonpickle", "dbm"}


def defined() -> set[str]:
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        names.update(
            re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
        )
    return names


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SRC.rglob("*.py")):
        yield path.relative_to(SRC).as_posix(), ast.parse(path.read_text("utf-8"))


def imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_every_threat_has_its_row() -> None:
    assert [row[0] for row in ROWS] == [f"S{number:02}" for number in THREATS]


@pytest.mark.parametrize(("threat", "tests"), [(row[0], row[3]) for row in ROWS])
def test_every_test_that_the_page_names_exists(threat: str, tests: str) -> None:
    named = re.findall(r"`(test_\w+)`", tests)
    assert named
    assert set(named) - defined() == set()


def test_nothing_reads_data_that_could_hold_code() -> None:
    found = [(name, module) for name, tree in trees() for module in imports(tree) & RUNS_CODE] + [
        (name, ast.unparse(node))
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("eval", "exec", "compile", "__import__")
    ]
    assert found == []


def test_no_statement_is_put_together_from_values() -> None:
    """SQL is a fixed text; only pragmas, which take no parameters, are filled with constants."""
    found: list[tuple[str, str]] = []
    for name, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ("execute", "executemany") or not node.args:
                continue
            text = node.args[0]
            if isinstance(text, (ast.JoinedStr, ast.BinOp, ast.Call)):
                source = ast.unparse(text)
                is_pragma = re.match(r"f['\"]PRAGMA \w+ = \{\w+\}['\"]\Z", source)
                if (
                    source != LISTING
                    and not is_pragma
                    and not re.match(rf"{FIXED}( \+ {FIXED})*\Z", source)
                ):
                    found.append((name, source))
    assert found == []


def test_only_what_must_can_reach_the_network() -> None:
    found = {name for name, tree in trees() if imports(tree) & NETWORK_MODULES}
    assert {name for name in found if not name.startswith(tuple(NETWORK))} == set()


def test_what_writes_csv_guards_formulas() -> None:
    """A spreadsheet computes what begins with one of = + - @; a writer has to say how it guards."""
    for name, tree in trees():
        writes = any(
            isinstance(node, ast.Attribute)
            and node.attr in ("writer", "DictWriter")
            and isinstance(node.value, ast.Name)
            and node.value.id == "csv"
            for node in ast.walk(tree)
        )
        text = (SRC / name).read_text("utf-8")
        assert not writes or "formula" in text, f"{name} writes CSV: see S13 of security.md"


def test_the_rules_would_notice() -> None:
    tree = ast.parse("import pickle\nfrom urllib import request\nimport urllib.request")
    assert imports(tree) & RUNS_CODE == {"pickle"}
    assert imports(tree) & NETWORK_MODULES == {"urllib.request"}
