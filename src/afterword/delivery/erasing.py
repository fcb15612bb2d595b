"""Erasing a user from the store and from this disk (layer 2).

What waits in the spool is brought to the store first, so that the store's one rule decides what is theirs;
what arrives after all meets the tombstone there.
"""

from __future__ import annotations

import time

from afterword.delivery.dead_letters import DeadLetters
from afterword.delivery.recorder import Recorder
from afterword.errors import DeliveryError
from afterword.stores.protocol import Store

#: How long what is in the buffer may take to be safe, and what waits in the spool to reach the store.
WAIT_S = 10.0

_LOOK_EVERY_S = 0.1
_IDS_AT_ONCE = 500


def erase(recorder: Recorder, user: str, project: str | None = None) -> int:
    """Remove a user's records from the store, the spool and the dead letters; how many there were.

    Damaged pieces of the spool go altogether, since nobody can tell whose they are. With `project`, only
    that project's records go.

    Raises:
        StoreError: the store does not do it; it and the dead letters are as before.
        DeliveryError: the store did, and segments of the spool still wait or cannot be removed.
    """
    store, spool, letters = recorder.dispatch.store, recorder.spool, recorder.dispatch.dead_letters
    recorder.flush(WAIT_S)
    if spool.files is None or letters is None:
        return store.erase(user, project)
    try:
        waiting = _deliver(recorder)
        theirs = _generations_of(user, letters, store)
        erased = store.erase(user, project)
        spool.drop_damaged()
        erased += letters.erase(user, theirs, project)
        left = waiting & set(spool.files.names())
    except OSError as error:
        raise DeliveryError(f"the spool cannot be searched for who is erased: {error}") from error
    if left:
        raise DeliveryError(
            f"the store has forgotten the user, and {len(left)} segments of the spool, which may hold "
            "records of theirs, still wait to be delivered, perhaps by another process; erase again later"
        )
    return erased


def _deliver(recorder: Recorder) -> set[str]:
    """Wait until the segments that are there now are gone; their names."""
    files = recorder.spool.files
    waiting = recorder.spool.retire()
    deadline_s = time.monotonic() + WAIT_S
    counts = recorder.dispatch.counts
    while files is not None and waiting & set(files.names()) and time.monotonic() < deadline_s:
        recorder.dispatch.retries.hurry()
        recorder.sender.look_for_segments()
        with counts.watch() as moved:
            moved.acquire(timeout=_LOOK_EVERY_S)
    return waiting


def _generations_of(user: str, letters: DeadLetters, store: Store) -> set[str]:
    """Of the generations that dead letters have feedback about, the IDs of those that are the user's."""
    theirs: set[str] = set()
    about: set[str] = set()
    for letter in letters.all():
        if letter.record is not None:
            about.update(row.data_id for row in letter.record.feedback)
            if letter.record.generation is not None and user in letter.users:
                theirs.add(letter.id)
    asked = sorted(about)
    for start in range(0, len(asked), _IDS_AT_ONCE):
        rows = store.by_ids(asked[start : start + _IDS_AT_ONCE])
        theirs.update(row.id for row in rows if row.user == user)
    return theirs
