"""What a remote store and the server that is one say to each other (layer 2).

A call is ``POST /api/v1/store/<name>`` with a `Call` as MessagePack; the answer is MessagePack of
``{"result": ...}``, with the same media type, which nothing else on a network answers with. Fields
that a side does not know are ignored, so that the two may be of different versions.
"""

from __future__ import annotations

from typing import Any

import msgspec

from afterword.feedback.rows import FeedbackRow
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

__all__ = ["MEDIA_TYPE", "PATH", "Call", "Rows"]

PATH = "/api/v1/store/"
MEDIA_TYPE = "application/vnd.afterword.store+msgpack"


class Rows(msgspec.Struct, kw_only=True):
    """What ``write`` takes."""

    generations: list[GenerationRow] = []
    feedback: list[FeedbackRow] = []


class Call(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What all other calls take; each uses the fields it needs."""

    project: str | None = None
    data_id: str = ""
    data_ids: list[str] = []
    external_id: str = ""
    user: str = ""
    kind: str = ""
    name: str = ""
    body: str = ""
    replace: bool = True
    query: Query | None = None


class Answer(msgspec.Struct, omit_defaults=True):
    """What every call is answered with; `known` is of ``write`` only, as `Stored` has it."""

    result: Any = None
    known: list[tuple[str, str]] = []
