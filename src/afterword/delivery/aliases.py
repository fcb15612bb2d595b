"""Aliases in feedback that was kept while nobody could look them up (layer 2)."""

from __future__ import annotations

from afterword.feedback.rows import FeedbackRow
from afterword.ids import looks_minted
from afterword.stores.protocol import Store


def resolve(row: FeedbackRow, store: Store) -> None:
    """Let a row name the data ID that its alias stands for, if it names an alias.

    Raises:
        StoreError: the store cannot be asked.
    """
    if row.provisional and not looks_minted(row.data_id):
        known = store.resolve(row.data_id, row.project) or store.resolve(row.data_id)
        row.data_id = known or row.data_id
