"""Data IDs: minting and checking (layer 0).

A data ID of ours is a UUIDv7 string (RFC 9562), so IDs sort by the time they were minted. An ID
from outside may be any 1 to 128 characters of ``A-Za-z0-9._-``. An ID carries no authority.
"""

from __future__ import annotations

import re

from uuid_utils import uuid7

from afterword.errors import InvalidInput

_EXTERNAL_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


def new_id() -> str:
    """A new UUIDv7 string. Safe from any thread and after a fork."""
    return str(uuid7())


def is_data_id(value: object) -> bool:
    """Whether `value` may stand as a data ID."""
    return isinstance(value, str) and _EXTERNAL_ID.match(value) is not None


def looks_minted(value: str) -> bool:
    """Whether `value` has the form of an ID that `new_id` makes."""
    return len(value) == 36 and value[14] == "7" and value.count("-") == 4


def check_data_id(value: object, field: str = "data_id") -> str:
    """`value` itself when it may stand as a data ID.

    Raises:
        InvalidInput: it is not a string of 1 to 128 characters of ``A-Za-z0-9._-``.
    """
    if isinstance(value, str) and _EXTERNAL_ID.match(value) is not None:
        return value
    raise InvalidInput(f"{field} must be 1 to 128 characters of A-Z a-z 0-9 . _ -", field=field)


def check_external_id(value: object) -> str:
    """`value` itself when it may be an alias.

    Raises:
        InvalidInput: it is not text of 1 to 512 characters.
    """
    if isinstance(value, str) and 0 < len(value) <= 512 and "\0" not in value:
        return value
    raise InvalidInput("external_id must be text of 1 to 512 characters", field="external_id")
