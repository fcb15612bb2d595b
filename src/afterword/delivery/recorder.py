"""The recorder: a buffer bounded in bytes and one background thread (layer 2).

The caller appends to a deque and may release a semaphore; both are single steps in C, so they are
safe in finalisers and signal handlers, and neither waits for the thread. The thread encodes what
has gathered, every 100 ms or 500 records, and hands it to the dispatch: to a local store at once, with any
waiting feedback in one transaction, so that many callers share one commit; for a remote one, to the spool,
from where the sender's thread takes it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from afterword.delivery import lifetimes
from afterword.delivery.answers import Answer
from afterword.delivery.asking import Asking
from afterword.delivery.dispatch import Dispatch
from afterword.delivery.faults import Faults
from afterword.delivery.requests import Kept, Request
from afterword.delivery.sender import Sender
from afterword.delivery.spool import Spool
from afterword.errors import DeliveryError
from afterword.feedback.rows import FeedbackRow
from afterword.model import Status
from afterword.stores.protocol import Store
from afterword.stores.rows import GenerationRow

BUFFER_BYTES = 64_000_000
INTERVAL_S = 0.1
BATCH_ROWS = 500
#: Encoding holds the interpreter's lock, so that a whole batch of it would keep a busy server waiting.
ENCODED_AT_ONCE = 64
#: The recorder tells sooner what became of a record; this keeps callers from waiting on a fault of ours.
LONGEST_S = 10.0

#: Batches are taken and let go ten times a second. To glibc, a block of this size that came and went is the sign
#: to keep twice as much of what is freed; else it may go back to the system each time, at 16 us a request.
_CHURN_BYTES = 4_000_000
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
_LAST_WORD_S = 0.1


class Pending(Protocol):
    """A captured generation that has not been encoded yet."""

    size_bytes: int
    #: Told whether the record is durable, when somebody waits for that.
    waiter: Answer[bool] | None

    def to_row(self) -> GenerationRow:
        """Encode and redact it. Runs on the recorder's thread; may raise."""
        ...

    def shed(self) -> None:
        """Drop the payloads and keep a stub, with its size."""
        ...


class Recorder:
    """Takes records from callers and sees that they reach the store. Without a spool, from memory only."""

    def __init__(
        self,
        store: Store,
        faults: Faults,
        spool: Spool | None = None,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        interval_s: float = INTERVAL_S,
        batch_rows: int = BATCH_ROWS,
        clock_s: Callable[[], float] = time.monotonic,
        draw: random.Random | None = None,
    ) -> None:
        self._faults = faults
        self._clock_s = clock_s
        self._buffer_bytes = buffer_bytes
        self._interval_s = interval_s
        self._batch_rows = batch_rows
        self.spool = spool or Spool(None)
        self.dispatch = Dispatch(store, self.spool, faults, clock_s=clock_s, draw=draw)
        self.sender = Sender(self.dispatch)
        self.dispatch.wake_sender = self.sender.wake
        self._start_empty()
        lifetimes.watch(self)
        if self.spool.has_segments():
            self.sender.wake()

    def _start_empty(self) -> None:
        self._buffer: deque[Pending] = deque()
        self._requests: deque[Request] = deque()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        self._held: list[GenerationRow] = []
        self._waiters: list[Answer[bool]] = []
        self._shed_rows = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._urgent = False
        self._closing = False
        #: Whether the thread waits for more with a deadline, so that a first record need not wake it.
        self._is_gathering = False

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
        is_news = length == 1 and not self._is_gathering
        if is_news or length == ENCODED_AT_ONCE or length == self._batch_rows:
            self._urgent = self._urgent or length == self._batch_rows
            self._rouse()

    def put_durably(self, record: Pending) -> Answer[bool]:
        """Take a record; the answer tells, once that is known, whether it is durable. Never blocks."""
        waiter: Answer[bool] = Answer()
        record.waiter = waiter
        shed_rows = self._shed_rows
        self.put(record)
        if self._shed_rows != shed_rows and record not in self._buffer:
            waiter.tell(False)
        self._urgent = True
        self._rouse()
        return waiter

    def put_safely(self, record: Pending) -> None:
        """Take a record, and return once it is durable.

        Raises:
            DeliveryError: neither the store nor the spool took it.
        """
        try:
            is_durable = self.put_durably(record).result(LONGEST_S)
        except TimeoutError:
            is_durable = False
        if not is_durable:
            raise DeliveryError

    def submit(self, rows: list[FeedbackRow]) -> Answer[Kept]:
        """Make rows durable, all or none; the answer is them as kept.

        It fails with DeliveryError when neither the store nor the spool takes them.
        """
        request = Request(rows, self._clock_s())
        self._requests.append(request)
        self._urgent = True
        self._rouse()
        return request.given

    def flush(self, timeout_s: float | None = None, *, spool_will_do: bool = False) -> bool:
        """Wait until everything taken so far is in the store, or synced to the spool while the store is away.

        Gives whether it is. Our own threads cannot wait for themselves, so there the answer comes at once.
        With `spool_will_do`, the store is not waited for.
        """
        dispatch, counts = self.dispatch, self.dispatch.counts
        done, spooled, rest, lost = counts.read(self._found)
        target = done + spooled + rest
        if done == target:
            return True
        if threading.current_thread() in (self._thread, self.sender.thread):
            return False
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        dispatch.retries.hurry()
        while True:
            self._urgent = True
            self._rouse()
            with counts.watch() as moved:
                done, spooled, _, losses = counts.read(self._found)
                is_safe = done + spooled >= target
                if done >= target:
                    return losses == lost
                if is_safe and (spool_will_do or dispatch.retries.left_s() > 0):
                    break
                left_s = self._interval_s
                if deadline_s is not None:
                    left_s = min(left_s, deadline_s - time.monotonic())
                    if left_s <= 0:
                        break
                if spooled or counts.in_memory:
                    self.sender.wake()
                moved.acquire(timeout=left_s)
        # Not in this thread: what breaks in on it may wait for those that need the spool.
        return is_safe and Asking().ask(self.spool.sync).result() and self._found()[3] == lost

    def status(self) -> Status:
        """The counts, taken at one instant."""
        return self.dispatch.counts.read(self._status)

    def _status(self) -> Status:
        counts = self.dispatch.counts
        buffered = counts.in_hand + counts.in_memory + len(self._buffer)
        dropped = counts.lost + self._shed_rows
        return Status(
            captured=counts.stored + buffered + counts.spooled + counts.dead_lettered + dropped,
            stored=counts.stored,
            buffered=buffered,
            spooled=counts.spooled,
            dead_lettered=counts.dead_lettered,
            dropped=dropped,
            faults=self._faults.count,
        )

    def _found(self) -> tuple[int, int, int, int]:
        """Of what was taken here: how many are done with, spooled, and still on their way; and how many are lost."""
        counts = self.dispatch.counts
        rest = counts.in_memory + counts.in_hand + len(self._buffer)
        return counts.own_done, counts.own_spooled, rest, counts.lost + self._shed_rows

    def close(self, timeout_s: float = lifetimes.EXIT_S) -> bool:
        """Flush within the time, then end the threads; whether everything became durable."""
        deadline_s = time.monotonic() + timeout_s
        done = self.flush(timeout_s)
        self._closing = True
        thread = self._thread
        if thread is not None:
            self._rouse()
            thread.join(max(deadline_s - time.monotonic(), _LAST_WORD_S))
        self.sender.close(max(deadline_s - time.monotonic(), _LAST_WORD_S))
        self.spool.release()
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
                lifetimes.watch_worker_exit()
        except RuntimeError as error:
            self._thread = None
            # At the interpreter's end no new threads start, and the exit flushes from where it is.
            if not lifetimes.is_ending(error):
                self._faults.note("starting the recorder's thread", error)
        finally:
            self._thread_lock.release()

    def _run(self) -> None:
        failures = 0
        bytes(_CHURN_BYTES)  # never touched, so that it costs nothing
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
            with suppress(BaseException):
                self._faults.note("the recorder", error)
        self._pause(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
        return failures + 1

    def _await_work(self) -> None:
        if not self._buffer and not self._requests and not self._held:
            overdue_s = self.dispatch.overdue_s()
            if overdue_s is None:
                self._wake.acquire()
            elif overdue_s <= 0 or not self._wake.acquire(timeout=overdue_s):
                return
        deadline_s = time.monotonic() + self._interval_s
        self._is_gathering = True
        try:
            while not (self._urgent or self._closing):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    break
                self._wake.acquire(timeout=left_s)
                if len(self._buffer) >= ENCODED_AT_ONCE:
                    self._encode()
                    if len(self._held) >= self._batch_rows:
                        break
        finally:
            self._is_gathering = False  # before the round, which finds what came without a word
        self._urgent = False

    def _pause(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while not self._requests and not self._closing:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._wake.acquire(timeout=left_s):
                return

    def _round(self) -> bool:
        """Encode and hand over one batch; whether it is in good hands."""
        self._encode()
        requests = [self._requests.popleft() for _ in range(len(self._requests))]
        held = self._held
        if held or requests:
            try:
                self._held = self.dispatch.deliver(held, requests, strict=bool(self._waiters))
            except BaseException as error:  # a fault of ours; the rows are still held
                for request in requests:
                    request.fail(error)
                raise
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.tell(self.dispatch.is_durable and not self._held)
        self.dispatch.reclaim()
        if len(self._buffer) >= self._batch_rows:
            self._urgent = True
        return not self._held

    def _encode(self) -> None:
        buffer = self._buffer
        counts = self.dispatch.counts
        with counts.moving():
            room = max(self._batch_rows - len(self._held), 0)
            records = [buffer.popleft() for _ in range(min(len(buffer), room))]
            counts.in_hand += len(records)
        for record in records:
            self._bytes_out += record.size_bytes
            if record.waiter is not None:
                self._waiters.append(record.waiter)
            try:
                self._held.append(record.to_row())
            except BaseException as error:
                self._faults.note("encoding a generation", error)
                counts.move(in_hand=-1, lost=1)
        if not buffer:
            self._bytes_out = self._bytes_in

    def after_fork(self) -> None:
        """In a child process: everything so far is the parent's."""
        self.dispatch.store.forget_after_fork()
        self.spool.forget_after_fork()
        self.dispatch.start_empty()
        self.sender.start_empty()
        self._start_empty()

    def hasten(self) -> None:
        """The process is about to end: let the thread write what it has, without being waited for."""
        self._urgent = True
        if self._thread is not None:
            self._rouse()

    def secure(self, timeout_s: float) -> None:
        """Bring what is left to the disk within the time."""
        deadline_s = time.monotonic() + timeout_s
        if self._thread is not None:
            self.flush(timeout_s, spool_will_do=True)
        # Since Python 3.12 no thread starts this late, so what came last is written from here.
        while self._buffer and self._thread is None and time.monotonic() < deadline_s:
            if not self._round():
                break

    def at_exit(self, timeout_s: float) -> None:
        """Bring what is left to the store within the time; the rest stays in the spool."""
        deadline_s = time.monotonic() + timeout_s
        left_s = timeout_s
        while not self.spool.is_empty and left_s > 0:
            if self.sender.thread is None:
                if self.sender.step() > 0:
                    break
            else:
                self.flush(min(left_s, self._interval_s))
                is_away = self.dispatch.retries.left_s() > 0 or self.dispatch.is_hanging()
                if is_away and not self.dispatch.counts.in_memory:
                    break  # what waits is safe, so nobody has to
            left_s = deadline_s - time.monotonic()
        self.spool.release()
