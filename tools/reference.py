"""Writes docs/reference/{api,asgi,errors}.md from the docstrings. Run it after changing one.

`python tools/reference.py --check` only says which pages are out of date.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

#: The sections of the page about `afterword`. A public name that is in none of them goes last.
SECTIONS = {
    "Capture": ("generation", "Logged", "annotate", "log", "capture"),
    "Context": ("current_data_id", "last_data_id", "trail", "Trail", "carry"),
    "Feedback, and reading back": ("feedback", "afeedback", "get", "aget"),
    "Delivery": ("flush", "aflush", "status"),
    "Client": ("configure", "default_client", "Client"),
    "Records": (
        "Generation", "GenerationError", "Usage", "Feedback", "FeedbackType", "Label", "Page",
        "Status",
    ),
}  # fmt: skip
#: Attributes that a class inherits from what it is made of, and nobody should use.
INTERNAL = {"Trail": {"parent", "trail", "done", "data_id", "shared", "take", "give_back"}}


def signature(thing: Any) -> str:
    """The signature as a caller reads it."""
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return "(...)"
    text = re.sub(r"<[^>]*>", "...", text).replace("'", "")
    for noise in ("collections.abc.", "typing.", "afterword.model.", "datetime."):
        text = text.replace(noise, "")
    return text.replace("(self, ", "(").replace("(self)", "()")


def prose(thing: Any) -> str:
    """The docstring as Markdown."""
    text = re.sub(r"``([^`]*)``", r"`\1`", inspect.getdoc(thing) or "")
    before, raises, after = text.partition("\nRaises:\n")
    if raises:
        entries = re.sub(r"\n {8,}", " ", after)
        after = re.sub(r"^ {4}(\w+): ", r"- `\1`: ", entries, flags=re.MULTILINE)
        text = f"{before}\nRaises:\n\n{after}"
    return text.strip()


def fields(record: type[msgspec.Struct]) -> list[str]:
    """The fields of a record as a table."""
    lines = ["| field | type | default |", "|---|---|---|"]
    for field in msgspec.structs.fields(record):
        kind = str(record.__annotations__.get(field.name, "")).replace("|", "\\|")
        default = ""
        if not field.required:
            made = field.default
            default = f"`{field.default_factory() if made is msgspec.NODEFAULT else made!r}`"  # type: ignore[operator,misc]
        lines.append(f"| `{field.name}` | `{kind}` | {default} |")
    return lines


def entry(name: str, thing: Any) -> list[str]:
    """What the reference says of one name."""
    if inspect.isclass(thing) and issubclass(thing, msgspec.Struct):
        return [f"### `{name}`", "", prose(thing), "", *fields(thing), ""]
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return [f"### `{name}`", "", prose(thing), ""]
    lines = [
        f"### `{name}`",
        "",
        "```text",
        f"{name}{signature(thing)}",
        "```",
        "",
        prose(thing),
        "",
    ]
    if not inspect.isclass(thing) or not thing.__module__.startswith("afterword."):
        return lines
    for member, value in vars(thing).items():
        if member.startswith("_") or member in INTERNAL.get(name, ()):
            continue
        if isinstance(value, property):
            lines += [f"**`{member}`**: {prose(value)}", ""]
        elif inspect.isfunction(value):
            lines += [f"**`{member}{signature(value)}`**", "", prose(value), ""]
    return lines


def api() -> str:
    module = importlib.import_module("afterword")
    errors = set(importlib.import_module("afterword.errors").__all__)
    lines = [
        "# API",
        "",
        "Everything public in `afterword`, except its errors, which have [a page](errors.md). The module",
        "functions use the default client.",
        "",
    ]
    listed = {name for names in SECTIONS.values() for name in names}
    rest = tuple(name for name in module.__all__ if name not in listed | errors)
    for section, names in {**SECTIONS, "More": rest}.items():
        present = [name for name in names if name in module.__all__]
        if present:
            lines += [f"## {section}", ""]
        for name in present:
            lines += entry(name, getattr(module, name))
    return "\n".join(lines).rstrip() + "\n"


def web() -> str:
    module = importlib.import_module("afterword.asgi")
    lines = [
        "# Web layer",
        "",
        "Everything public in `afterword.asgi`. See also the [wire formats](wire.md).",
        "",
    ]
    for name in module.__all__:
        lines += entry(name, getattr(module, name))
    return "\n".join(lines).rstrip() + "\n"


def errors() -> str:
    module = importlib.import_module("afterword.errors")
    tree = (inspect.getdoc(module) or "").split("\n\n")[1]
    lines = [
        "# Errors",
        "",
        "Everything in `afterword.errors`. A decorated function never raises one of them for our sake.",
        "",
    ]
    lines += ["```text", inspect.cleandoc(tree), "```", ""]
    for name in module.__all__:
        lines += entry(name, getattr(module, name))
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"api.md": api, "asgi.md": web, "errors.md": errors}


def main() -> int:
    stale = [
        name
        for name, write in PAGES.items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text("utf-8") != write()
    ]
    if "--check" not in sys.argv:
        for name in stale:
            (REFERENCE / name).write_text(PAGES[name](), "utf-8")
    print("out of date:" if "--check" in sys.argv else "written:", ", ".join(stale) or "nothing")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
