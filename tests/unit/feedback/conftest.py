"""What the feedback tests share: rows made short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from afterword.codec import to_json
from afterword.feedback.rows import FeedbackRow
from afterword.ids import new_id

Said = Callable[..., FeedbackRow]


@pytest.fixture
def said() -> Said:
    """Make a row: what `who` said at a moment, in microseconds."""

    def row(who: str, kind: str, value: Any, at: int, **fields: Any) -> FeedbackRow:
        several = kind == "action"
        given: dict[str, Any] = {
            "id": new_id(),
            "project": "main",
            "data_id": "d",
            "type": kind,
            "label": value if several and value is not None else "",
            "several": several,
            "value": None if value is None else to_json(value),
            "sentiment": None,
            "signal": "explicit",
            "user": who,
            "subject": None,
            "rater": who,
            "source": "end_user",
            "comment": None,
            "metadata": None,
            "created_at": at,
            "received_at": at,
            "unset": value is None,
            **fields,
        }
        return FeedbackRow(**given)

    return row
