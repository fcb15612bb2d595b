"""The formats of exports, one file each, found by the file's name (layer 5).

A format is a module with one function:

``write(columns, records) -> Iterator[bytes]``
    the file, piece by piece; a record is a mapping with a value for each column, where what a
    store keeps as JSON stands as `msgspec.Raw`. Reads no more records than it has written.

and a constant ``MEDIA_TYPE``: what the file is called in a Content-Type.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

from afterword.errors import InvalidInput

__all__ = ["Exporter", "exporter", "format_names"]


class Exporter(Protocol):
    """What a module of this folder provides."""

    MEDIA_TYPE: str

    def write(
        self, columns: Sequence[str], records: Iterable[Mapping[str, Any]]
    ) -> Iterator[bytes]: ...


_EXPORTERS: dict[str, Exporter] = {
    found.name: cast("Exporter", importlib.import_module(f"{__name__}.{found.name}"))
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name)
}


def format_names() -> tuple[str, ...]:
    """The names of all formats."""
    return tuple(_EXPORTERS)


def exporter(name: str) -> Exporter:
    """The format of that name.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return _EXPORTERS[name]
    except KeyError:
        raise InvalidInput(
            f"format must be one of: {', '.join(_EXPORTERS)}",
            field="format",
            allowed=format_names(),
        ) from None
