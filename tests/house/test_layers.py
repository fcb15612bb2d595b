"""Imports go down only, and never round; files stay small and their names say what they hold."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "afterword"
OURS = [
    path
    for folder in ("src", "tests", "examples", "benchmarks", "tools")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".js", ".ts", ".html", ".css", ".sql"}
]

#: The layer of each module or package, by its first name below `afterword`.
LAYERS = {
    "errors": 0,
    "ids": 0,
    "model": 0,
    "snapshot": 0,
    "fields": 0,
    "codec": 0,
    "redaction": 0,
    "collecting": 1,
    "context": 1,
    "feedback": 1,
    "stores": 2,
    "delivery": 2,
    "configuration": 3,
    "drafting": 3,
    "keyring": 3,
    "listing": 3,
    "desk": 3,
    "client": 3,
    "prompts": 3,
    "default": 3,
    "capture": 4,
    "prompting": 4,
    "asgi": 5,
    "server": 5,
    "importing": 5,
    "insight": 5,
    "cli": 6,
}
#: Packages whose users choose them by an extra, so that a function may import them when it runs.
OPTIONAL = {
    "anthropic", "click", "genai_prices", "jinja2", "numpy", "openai", "psycopg", "psycopg_pool",
    "rich", "uvicorn", "xllamacpp",
}  # fmt: skip
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "base", "manager"}


def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, parsed."""
    found: dict[str, ast.Module] = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


MODULES = modules()


def imported(tree: ast.AST) -> set[str]:
    """The modules of ours that a module imports, as dotted names, by statement or by a string."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            module = node.module or ""
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("afterword."):
            names.add(str(node.value))
    return {name for name in names if name in MODULES}


def layer(module: str) -> int:
    return LAYERS[module.split(".")[1]]


def test_every_module_has_a_layer() -> None:
    unknown = {name for name in MODULES if "." in name and name.split(".")[1] not in LAYERS}
    assert not unknown


def test_imports_go_down_only() -> None:
    upward = [
        f"{name} (layer {layer(name)}) imports {other} (layer {layer(other)})"
        for name, tree in MODULES.items()
        if "." in name
        for other in imported(tree)
        if "." in other and layer(other) > layer(name)
    ]
    assert not upward


def test_only_the_command_line_imports_the_public_names() -> None:
    inside = [
        name
        for name, tree in MODULES.items()
        if "." in name and layer(name) < LAYERS["cli"] and "afterword" in imported(tree)
    ]
    assert not inside


def test_imports_do_not_go_round() -> None:
    edges = {name: imported(tree) - {name} for name, tree in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle of imports: {' -> '.join((*path, name))}"
        if name in done:
            return
        for other in sorted(edges[name]):
            # A package's own modules import its __init__ before it has finished; that is no circle
            # unless __init__ needs them by name, which the walk from __init__ would show.
            if not name.startswith(f"{other}."):
                visit(other, (*path, name))
        done.add(name)

    for name in edges:
        visit(name, ())


def test_packages_do_not_go_round_either() -> None:
    edges: dict[str, set[str]] = {}
    for name, tree in MODULES.items():
        if "." in name:
            package = name.split(".")[1]
            below = {other.split(".")[1] for other in imported(tree) if "." in other}
            edges.setdefault(package, set()).update(below - {package})
    try:
        tuple(graphlib.TopologicalSorter(edges).static_order())
    except graphlib.CycleError as circle:
        pytest.fail(f"a circle of packages: {' <- '.join(circle.args[1])}")


def test_functions_import_only_what_is_optional() -> None:
    hidden: list[str] = []
    for name, tree in MODULES.items():
        if name == "afterword.cli.main":
            continue  # it has to say what is missing when click itself is
        for function in ast.walk(tree):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    roots = {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    roots = {(node.module or "").split(".")[0]}
                else:
                    continue
                if not roots <= OPTIONAL:
                    hidden.append(f"{name}.{function.name}: {sorted(roots)}")
    assert not hidden


def test_only_context_knows_contextvars_extras() -> None:
    knowing = [name for name, tree in MODULES.items() if "contextvars_extras" in ast.dump(tree)]
    assert knowing == ["afterword.context"]


def test_no_file_is_over_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in OURS
        if not path.is_relative_to(ROOT / "tests")
        and (count := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_no_name_is_vague() -> None:
    modules = [path.relative_to(ROOT) for path in OURS if path.suffix == ".py"]
    assert not [str(path) for path in modules if VAGUE & {*path.with_suffix("").parts}]


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, tree in MODULES.items() if not ast.get_docstring(tree)]
    assert not silent
