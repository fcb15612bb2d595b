"""The current-value rule: which statements count now (layer 1).

The key is (project, data ID, type, rater), plus the label for classes that keep several. A newer
statement with the same key replaces an older one; a retraction removes it, comment and all. Newer
means created later; of two created at once, received later.
"""

from __future__ import annotations

from collections.abc import Iterable

from afterword.feedback.rows import FeedbackRow


def age(row: FeedbackRow) -> tuple[int, int, str]:
    """The order of statements, oldest first."""
    return (row.created_at, row.received_at, row.id)


def current(history: Iterable[FeedbackRow]) -> list[FeedbackRow]:
    """The statements of a history that count now, oldest first."""
    standing: dict[tuple[str, str, str, str, str], FeedbackRow] = {}
    for row in sorted(history, key=age):
        key = (row.project, row.data_id, row.type, row.rater, row.label)
        if not row.unset:
            standing[key] = row
        elif row.several and not row.label:
            for other in [found for found in standing if found[:4] == key[:4]]:
                del standing[other]
        else:
            standing.pop(key, None)
    return sorted(standing.values(), key=age)
