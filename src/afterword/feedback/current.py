"""The current-value rule: which statements count now (layer 1).

The key is (project, data ID, type, rater), plus the label for classes that keep several. A newer
statement with the same key replaces an older one; a retraction removes it, comment and all. Newer
means created later; of two created at once, received later.
"""

from __future__ import annotations

from collections.abc import Iterable

from afterword.feedback.rows import FeedbackRow

KEPT_REVISIONS = 20


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


def repeated(history: Iterable[FeedbackRow], row: FeedbackRow) -> FeedbackRow | None:
    """The statement of a key's history that `row` only says again, or None.

    Whoever holds a token can post without end, so what changes nothing leaves nothing. A row that
    its sender dated is told from its retries by that date.
    """
    if row.subject is None or row.created_at != row.received_at:
        return None
    history = list(history)
    standing = [found for found in current(history) if row.label in (found.label, "")]
    if row.unset:
        said = [found for found in history if found.unset and found.label == row.label]
        return None if standing else max(said, key=age, default=None)
    for found in standing:
        if (found.value, found.comment, found.metadata) == (row.value, row.comment, row.metadata):
            return found
    return None


def surplus(history: Iterable[FeedbackRow], row: FeedbackRow) -> list[FeedbackRow]:
    """What token holders said under `row`'s key and label before their newest 20 statements."""
    if row.subject is None:
        return []
    said = [found for found in history if found.subject is not None and found.label == row.label]
    return sorted(said, key=age)[:-KEPT_REVISIONS]
