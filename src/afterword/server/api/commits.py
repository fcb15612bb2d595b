"""Commits shared by concurrent requests: one thread writes what has gathered (layer 5).

An answer is there when its rows are in the store with full sync, so an answer of 200 means that.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from afterword.delivery.answers import Answer
from afterword.delivery.halving import AWAY
from afterword.feedback.rows import FeedbackRow
from afterword.model import TERMINAL_STATUSES
from afterword.stores.protocol import Store
from afterword.stores.rows import GenerationRow, Stored

__all__ = ["Commits", "Written"]

COMMIT_ROWS = 5_000

_Request = tuple[list[GenerationRow], list[FeedbackRow], Answer["Written"]]


class Written:
    """What became of one request.

    `stored` is as if it had been written alone. `duplicates` counts its generations that are there
    already, `repeated` are those of them that say how they ended.
    """

    __slots__ = ("duplicates", "repeated", "stored")

    def __init__(self, duplicates: int, repeated: list[GenerationRow], stored: Stored) -> None:
        self.duplicates = duplicates
        self.repeated = repeated
        self.stored = stored


class Commits:
    """Writes the rows of requests to one store, many requests a commit. Safe from any thread."""

    def __init__(self, store: Store, *, commit_rows: int = COMMIT_ROWS) -> None:
        self._store = store
        self._commit_rows = commit_rows
        self._waiting: deque[_Request] = deque()
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "afterword-commits")
        self._is_writing = False
        #: Since this process started: generations kept, known already, known as something else, and commits.
        self.accepted = 0
        self.duplicates = 0
        self.conflicts = 0
        self.commits = 0

    def submit(
        self, generations: list[GenerationRow], feedback: list[FeedbackRow]
    ) -> Answer[Written]:
        """Keep the rows, all or none; the answer is a StoreError when they are not."""
        answer: Answer[Written] = Answer()
        with self._lock:
            self._waiting.append((generations, feedback, answer))
            starts, self._is_writing = not self._is_writing, True
        if starts:
            self._writer.submit(self._write_all)
        return answer

    def close(self) -> None:
        """End the thread once what was submitted is written."""
        self._writer.shutdown()

    def _write_all(self) -> None:
        while requests := self._gathered():
            try:
                self._write(requests)
            except BaseException as error:
                if isinstance(error, AWAY) or len(requests) == 1:
                    _fail(requests, error)
                else:
                    self._write_apart(requests)

    def _gathered(self) -> list[_Request]:
        requests: list[_Request] = []
        rows = 0
        with self._lock:
            while self._waiting and rows < self._commit_rows:
                request = self._waiting.popleft()
                rows += len(request[0]) + len(request[1])
                requests.append(request)
            self._is_writing = bool(requests)
        return requests

    def _write(self, requests: Sequence[_Request]) -> None:
        generations = [row for rows, _, _ in requests for row in rows]
        kept = self._store.write(generations, [row for _, rows, _ in requests for row in rows])
        known = kept.known
        self.commits += 1
        start = 0
        for rows, feedback, answer in requests:
            before = {key for row in rows if (key := (row.project, row.id)) in known}
            duplicates, repeated = _known(rows, known)
            self.accepted += len(rows) - duplicates
            self.duplicates += duplicates
            end = start + len(feedback)
            answer.tell(Written(duplicates, repeated, Stored(kept[start:end], before)))
            start = end

    def _write_apart(self, requests: Sequence[_Request]) -> None:
        """One request's rows spoil the commit of the others: find out whose."""
        for request in requests:
            try:
                self._write([request])
            except BaseException as error:
                _fail([request], error)


def _known(
    rows: Sequence[GenerationRow], known: set[tuple[str, str]]
) -> tuple[int, list[GenerationRow]]:
    """How many of `rows` have an end in `known`, and those with one of their own, which is added."""
    before = len(known)
    duplicates = 0
    repeated: list[GenerationRow] = []
    for row in rows:
        if row.status in TERMINAL_STATUSES:
            known.add((row.project, row.id))
            if len(known) == before:
                repeated.append(row)
            before = len(known)
        elif (row.project, row.id) in known:
            duplicates += 1
    return duplicates + len(repeated), repeated


def _fail(requests: Sequence[_Request], error: BaseException) -> None:
    for _, _, answer in requests:
        answer.fail(error)
