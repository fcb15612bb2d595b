"""The recorder: a buffer bounded in bytes and one background thread (layer 2).

The caller appends to a deque and may release a semaphore; both are single steps in C, so they are
safe in finalisers and signal handlers, and neither waits for the thread. The thread encodes what
has gathered, every 100 ms or 500 records, and writes it with any waiting feedback in one
transaction, so that many callers share one commit.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from afterword.delivery.faults import Faults
from afterword.errors import DeliveryError, StoreBusy, StoreTooNew, StoreUnavailable
from afterword.feedback.rows import FeedbackRow
from afterword.model import Status
from afterword.stores.protocol import Store
from afterword.stores.rows import GenerationRow

BUFFER_BYTES = 64_000_000
INTERVAL_S = 0.1
BATCH_ROWS = 500
EXIT_S = 2.0

#: What trying again later may mend; anything else is the fault of the record.
AWAY = (StoreBusy, StoreUnavailable, StoreTooNew)

_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
_LAST_WORD_S = 0.1


class Pending(Protocol):
    """A captured generation that has not been encoded yet."""

    size_bytes: int

    def to_row(self) -> GenerationRow:
        """Encode and redact it. Runs on the recorder's thread; may raise."""
        ...

    def shed(self) -> None:
        """Drop the payloads and keep a stub, with its size."""
        ...


class Recorder:
    """Takes records from callers and gives them to the store."""

    def __init__(
        self,
        store: Store,
        faults: Faults,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        interval_s: float = INTERVAL_S,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self._store = store
        self._faults = faults
        self._buffer_bytes = buffer_bytes
        self._interval_s = interval_s
        self._batch_rows = batch_rows
        self._start_empty()
        _ALL.add(self)

    def _start_empty(self) -> None:
        self._buffer: deque[Pending] = deque()
        self._requests: deque[tuple[list[FeedbackRow], Future[list[FeedbackRow]]]] = deque()
        self._wake = threading.Lock()
        self._wake.acquire()
        # Reentrant, since a finaliser or a signal handler may read the counts inside a reading.
        self._settled = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        self._held: list[GenerationRow] = []
        self._in_hand = 0
        self._stored = 0
        self._lost = 0
        self._shed_rows = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._urgent = False
        self._closing = False

    def put(self, record: Pending) -> None:
        """Take a record. Never blocks, and does no I/O."""
        size = record.size_bytes
        waiting = self._bytes_in - self._bytes_out
        if waiting + size > self._buffer_bytes:
            record.shed()
            size = record.size_bytes
            if waiting + size > self._buffer_bytes + self._buffer_bytes // 8:
                self._shed_rows += 1
                return
        self._bytes_in += size
        buffer = self._buffer
        buffer.append(record)
        length = len(buffer)
        if length == 1 or length == self._batch_rows:
            self._urgent = self._urgent or length > 1
            self._rouse()

    def submit(self, rows: list[FeedbackRow]) -> Future[list[FeedbackRow]]:
        """Make rows durable, all or none; the future gives them as kept.

        It fails with DeliveryError when the store does not take them.
        """
        future: Future[list[FeedbackRow]] = Future()
        self._requests.append((rows, future))
        self._urgent = True
        self._rouse()
        return future

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until everything taken so far is durable; whether it is.

        The recorder's own thread cannot wait for itself, so there the answer comes at once.
        """
        with self._settled:
            lost = self._lost
            target = self._stored + lost + self._in_hand + len(self._buffer)
            if self._stored + lost == target:
                return True
        if threading.current_thread() is self._thread:
            return False
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._urgent = True
            self._rouse()
            with self._settled:
                if self._stored + self._lost >= target:
                    return self._lost == lost
                left_s = self._interval_s
                if deadline_s is not None:
                    left_s = min(left_s, deadline_s - time.monotonic())
                    if left_s <= 0:
                        return False
                self._settled.wait(left_s)

    def status(self) -> Status:
        """The counts, taken at one instant."""
        with self._settled:
            buffered = self._in_hand + len(self._buffer)
            dropped = self._lost + self._shed_rows
            return Status(
                captured=self._stored + buffered + dropped,
                stored=self._stored,
                buffered=buffered,
                dropped=dropped,
                faults=self._faults.count,
            )

    def close(self, timeout_s: float = EXIT_S) -> bool:
        """Flush within the time, then end the thread; whether everything became durable."""
        deadline_s = time.monotonic() + timeout_s
        done = self.flush(timeout_s)
        self._closing = True
        thread = self._thread
        if thread is not None:
            self._rouse()
            thread.join(max(deadline_s - time.monotonic(), _LAST_WORD_S))
        return done

    def _rouse(self) -> None:
        if self._thread is None:
            self._start_thread()
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it has been told already

    def _start_thread(self) -> None:
        # Never waits: a finaliser may be running inside this very lock.
        if not self._thread_lock.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="afterword", daemon=True)
                self._thread = thread
                thread.start()
                _watch_worker_exit()
        except RuntimeError as error:
            self._thread = None
            # At the interpreter's end no new threads start, and the exit flushes from where it is.
            if not _is_ending(error):
                self._faults.note("starting the recorder's thread", error)
        finally:
            self._thread_lock.release()

    def _run(self) -> None:
        failures = 0
        try:
            while True:
                failures = self._turn(failures)
                if self._closing and (failures or not (self._buffer or self._requests)):
                    return
        finally:
            self._thread = None

    def _turn(self, failures: int) -> int:
        """Wait for work and do one round of it; how many rounds in a row have failed."""
        try:
            self._await_work()
            if self._round():
                return 0
        except BaseException as error:  # not even a rule that calls sys.exit ends the thread
            self._faults.note("the recorder", error)
        self._pause(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
        return failures + 1

    def _await_work(self) -> None:
        if not self._buffer and not self._requests and not self._held:
            self._wake.acquire()
        deadline_s = time.monotonic() + self._interval_s
        while not (self._urgent or self._closing):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            self._wake.acquire(timeout=left_s)
        self._urgent = False

    def _pause(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while not self._requests and not self._closing:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._wake.acquire(timeout=left_s):
                return

    def _round(self) -> bool:
        """Encode and write one batch; whether the store took it."""
        self._encode()
        # From here on a caller that gives up can no longer cancel, so each future has one answer.
        waiting = [self._requests.popleft() for _ in range(len(self._requests))]
        requests = [request for request in waiting if request[1].set_running_or_notify_cancel()]
        if not self._held and not requests:
            return True
        feedback = [row for rows, _ in requests for row in rows]
        try:
            kept = self._store.write(self._held, feedback)
        except BaseException as error:  # or those who wait would wait for ever
            return self._write_apart(requests, error)
        self._settle(len(self._held), 0)
        self._answer(requests, kept)
        if len(self._buffer) >= self._batch_rows:
            self._urgent = True
        return True

    def _encode(self) -> None:
        buffer = self._buffer
        with self._settled:
            room = max(self._batch_rows - len(self._held), 0)
            records = [buffer.popleft() for _ in range(min(len(buffer), room))]
            self._in_hand += len(records)
        for record in records:
            self._bytes_out += record.size_bytes
            try:
                self._held.append(record.to_row())
            except BaseException as error:
                self._faults.note("encoding a generation", error)
                self._settle(0, 1)
        if not buffer:
            self._bytes_out = self._bytes_in

    def _write_apart(
        self,
        requests: Sequence[tuple[list[FeedbackRow], Future[list[FeedbackRow]]]],
        error: BaseException,
    ) -> bool:
        """The batch failed: keep the generations for later, and find out about each request."""
        if isinstance(error, AWAY):
            self._faults.note("reaching the store", error)
            for _, future in requests:
                future.set_exception(_undelivered(error))
            return False
        self._faults.note("writing a batch", error)
        held, self._held = self._held, []
        self._write_parts(held)
        for rows, future in requests:
            try:
                future.set_result(self._store.write([], rows))
            except BaseException as failure:
                future.set_exception(_undelivered(failure))
        return True

    def _write_parts(self, rows: list[GenerationRow]) -> None:
        """Write what can be written, halving what fails until the bad ones stand alone."""
        if not rows:
            return
        try:
            self._store.write(rows, [])
        except AWAY:
            self._held += rows
        except BaseException as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                self._write_parts(rows[:middle])
                self._write_parts(rows[middle:])
                return
            self._faults.note("writing a generation", error)
            self._settle(0, 1, clear=False)
        else:
            self._settle(len(rows), 0, clear=False)

    def _settle(self, stored: int, lost: int, *, clear: bool = True) -> None:
        with self._settled:
            self._stored += stored
            self._lost += lost
            self._in_hand -= stored + lost
            if clear and stored:
                self._held = []
            self._settled.notify_all()

    @staticmethod
    def _answer(
        requests: Sequence[tuple[list[FeedbackRow], Future[list[FeedbackRow]]]],
        kept: list[FeedbackRow],
    ) -> None:
        start = 0
        for rows, future in requests:
            future.set_result(kept[start : start + len(rows)])
            start += len(rows)

    def _after_fork(self) -> None:
        self._store.forget_after_fork()
        self._start_empty()

    def _at_exit(self, timeout_s: float) -> None:
        if self._thread is not None:
            self.flush(timeout_s)
            return
        # Since Python 3.12 no thread starts this late, so what came last is written from here.
        deadline_s = time.monotonic() + timeout_s
        while self._buffer and time.monotonic() < deadline_s and self._round():
            pass


def _is_ending(error: RuntimeError) -> bool:
    return sys.is_finalizing() or "shutdown" in str(error)


def _undelivered(cause: BaseException) -> DeliveryError:
    error = DeliveryError(f"the feedback was not recorded: {cause}")
    error.__cause__ = cause
    return error


_ALL: weakref.WeakSet[Recorder] = weakref.WeakSet()


_watched_by: int | None = None


def _watch_worker_exit() -> None:
    """Flush at the end of a forked child of multiprocessing, which ends without atexit."""
    global _watched_by
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is None or util is None or _watched_by == os.getpid():
        return
    _watched_by = os.getpid()
    if process.parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    for recorder in list(_ALL):
        recorder._after_fork()


def _at_exit() -> None:
    deadline_s = time.monotonic() + EXIT_S
    for recorder in list(_ALL):
        recorder._at_exit(max(deadline_s - time.monotonic(), 0.0))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
