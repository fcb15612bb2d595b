"""Bringing the past along: records that other services exported (layer 5).

One file a service, with ``entries(record) -> Imported``; `importer.py` does the rest.
"""

from afterword.importing.importer import Outcome, Problem, import_file

__all__ = ["Outcome", "Problem", "import_file"]
