"""Text from strangers, made fit for a page: visible, folded, cut (layer 5).

Everything a log holds may have been written by an attacker. Escaping is Jinja's work; this module
takes care of the characters that escaping leaves alone: those that cannot be seen and those that
turn the direction of what stands around them.
"""

from __future__ import annotations

import json
import pprint
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from markupsafe import Markup, escape

__all__ = ["Folded", "as_field", "as_lines", "as_markup", "as_text", "fold", "preview", "visible"]

HEAD_CHARS = 1_200
HEAD_LINES = 24
MAX_CHARS = 100_000

# Control, format, surrogate and blank characters, except the newline, the tab and the two joiners
# that emoji, Persian and the Indic scripts are written with.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")


def visible(text: str) -> str:
    """The text with every hidden character written out, such as ``\\u202e``."""
    return _HIDDEN.sub(lambda found: _written_out(found.group()), text.replace("\r\n", "\n"))


def as_lines(text: str) -> Markup:
    """The text escaped, its hidden characters marked, for an element of its own."""
    text = text.replace("\r\n", "\n")
    parts: list[Markup] = []
    end = 0
    for found in _HIDDEN.finditer(text):
        run = found.group()
        names = ", ".join(dict.fromkeys(_name(character) for character in run[:4]))
        parts.append(escape(text[end : found.start()]))
        parts.append(
            Markup('<span class="ctl" title="{}">{}</span>').format(names, _written_out(run))
        )
        end = found.end()
    parts.append(escape(text[end:]))
    return Markup("").join(parts)


def as_markup(value: object) -> Markup:
    """The same within a line: isolated, so that it cannot turn the text beside it."""
    return Markup("<bdi>{}</bdi>").format(as_lines(str(value)))


def as_field(text: str) -> Markup:
    """The text as it is, escaped, for a form control that sends it back."""
    return escape(_SURROGATES.sub("\ufffd", text))


def as_text(value: Any) -> str:
    """The text of a value: a string as it is, anything else as indented JSON.

    What JSON has no form for, such as a dict with tuples as keys, is written as in Python.
    """
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=repr)
    except (TypeError, ValueError):
        return pprint.pformat(value, width=100, sort_dicts=False)
    except RecursionError:
        return "(nested too deeply to be shown)"


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in two parts: `head` is shown, `rest` on request; `cut_chars` stay off the page."""

    head: str
    rest: str
    cut_chars: int


def fold(value: Any, head_chars: int = HEAD_CHARS, max_chars: int = MAX_CHARS) -> Folded:
    """The text of a value, folded after `head_chars` or 24 lines and cut after `max_chars`."""
    text = as_text(value).replace("\r\n", "\n")
    shown = text[:max_chars]
    lines = shown[:head_chars].split("\n", HEAD_LINES)
    head = "\n".join(lines[:HEAD_LINES])
    # A fold that would hide less than a fifth more is not worth a click.
    if len(shown) <= head_chars * 1.2 and shown.count("\n") <= HEAD_LINES * 1.2:
        head = shown
    elif len(lines) <= HEAD_LINES:
        line_end = head.rfind("\n", max(0, head_chars - 200))
        end = line_end if line_end > 0 else head.rfind(" ", max(0, head_chars - 80))
        head = head[:end] if end > 0 else head
    return Folded(head=head, rest=shown[len(head) :], cut_chars=len(text) - len(shown))


def preview(value: Any, limit: int = 160) -> str:
    """One line that lets a reader recognise a value, at most `limit` characters."""
    line = _SPACE.sub(" ", _gist(value, limit)).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _gist(value: Any, limit: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value[: limit * 2]
    if isinstance(value, dict):
        fields = cast("Mapping[str, Any]", value)
        if isinstance(fields.get("content"), str):
            return _gist(fields["content"], limit)
        texts = {name: text for name, text in fields.items() if isinstance(text, str) and text}
        if len(texts) == 1:
            return _gist(next(iter(texts.values())), limit)
        shown = texts or {name: value for name, value in fields.items() if value is not None}
        return " · ".join(
            f"{name}: {_gist(shown[name], limit)[:limit]}" for name in list(shown)[:4]
        )
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        if items and isinstance(items[-1], dict) and "content" in items[-1]:
            return _gist(items[-1], limit)
        return ", ".join(_gist(item, limit)[:limit] for item in items[:4])
    return as_text(value)[: limit * 2]


def _written_out(run: str) -> str:
    return "".join(map(_escape_of, run))


def _escape_of(character: str) -> str:
    # Not the control pictures such as U+2400: many fonts lack them.
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _name(character: str) -> str:
    return unicodedata.name(character, f"character U+{ord(character):04X}").lower()
