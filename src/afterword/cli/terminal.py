"""Text that others wrote, made fit for a terminal (layer 6)."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]

#: Control characters, those that turn or hide text, surrogates, and what ends a line.
_ACTIVE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    """`text` with every character that a terminal might obey written out, but for line ends.

    Each stands as its escape in Python, such as ``\\x1b``. Pure.
    """
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in _ACTIVE
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
