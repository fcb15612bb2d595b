"""The browser module as the one file that pages load, joined from the parts here (layer 5)."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

PARTS: Final = ("share.js", "delivery.js", "dwell.js", "look.js", "restore.js", "afterword.js")
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=async function|function|const)", re.MULTILINE)
_NOTE: Final = re.compile(r"^ *(?:/\*\*(?s:.*?)\*/|// .*)\n", re.MULTILINE)
_HEAD: Final = (
    "// Afterword's browser module; its sources and their notes are in afterword/asgi/browser.\n"
)


@cache
def module_source() -> str:
    """The text of `afterword.js`: one ES module without imports. Read once; thread-safe."""
    folder = files(__name__)
    *parts, entry = ((folder / part).read_text(encoding="utf-8") for part in PARTS)
    inner = [_EXPORT.sub("", part) for part in parts]
    return _HEAD + "".join(_NOTE.sub("", _IMPORT.sub("", part)) for part in [*inner, entry])
