"""SQL kept in files: named statements and numbered migrations, one folder a dialect (layer 2).

In ``statements.sql`` a line ``-- name: x`` begins the statement called x. A folder's files named
``0001_what.sql`` are its migrations, in order.
"""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_VALUES = re.compile(r"VALUES\s*(\([?,\s]+\))")
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql\Z")


def statements(dialect: str) -> dict[str, str]:
    """Every named statement of a dialect."""
    text = (resources.files(__name__) / dialect / "statements.sql").read_text("utf-8")
    parts = _NAME.split(text)
    return {
        name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def migrations(dialect: str) -> list[str]:
    """The scripts that bring an empty store to the present schema, the first one first."""
    folder = resources.files(__name__) / dialect
    found = sorted(item.name for item in folder.iterdir() if _MIGRATION.match(item.name))
    numbers = [int(name[:4]) for name in found]
    assert numbers == list(range(1, len(found) + 1)), "migrations are numbered without gaps"
    return [(folder / name).read_text("utf-8") for name in found]


def repeated_values(statement: str, times: int) -> str:
    """A statement that inserts one row of bound values, as one that inserts so many."""
    found = _VALUES.search(statement)
    assert found is not None, "the statement has VALUES (?, ...)"
    row = "".join(found[1].split())
    return f"{statement[: found.start(1)]}{','.join([row] * times)}{statement[found.end() :]}"
