"""The sender: takes what waits in the spool to the store, and feedback to a remote one (layer 2)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from afterword.delivery.aliases import resolve
from afterword.delivery.dead_letters import reason_of
from afterword.delivery.dispatch import Dispatch
from afterword.delivery.failpoints import failpoint
from afterword.delivery.halving import AWAY, write_halving
from afterword.delivery.requests import Request, answer_all
from afterword.delivery.segments import Item, MemorySegment, weight
from afterword.delivery.spool import Batch
from afterword.errors import DeliveryError, StoreUnavailable
from afterword.feedback.rows import FeedbackRow
from afterword.stores.rows import GenerationRow

BATCH_RECORDS = 500
ADOPT_EVERY_S = 5.0

_REQUESTS_AT_ONCE = 1_000
_LEAST_PAUSE_S = 0.001
_AFTER_FAULT_S = 1.0


class Sender:
    """One more thread for one dispatch. `step` does the next thing, and needs no thread."""

    def __init__(self, dispatch: Dispatch, *, adopt_every_s: float = ADOPT_EVERY_S) -> None:
        self._dispatch = dispatch
        self._adopt_every_s = adopt_every_s
        self.start_empty()

    def start_empty(self) -> None:
        self._adopt_at_s = float("-inf")
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        self._closing = False

    # --- what it does -------------------------------------------------------------------------

    def step(self) -> float:
        """Do the next thing; after how many seconds there may be another."""
        dispatch = self._dispatch
        if dispatch.errands:
            self._run_errands()
            return 0.0
        left_s = dispatch.retries.left_s()
        if left_s > 0:
            return left_s
        batch = dispatch.spool.peek(BATCH_RECORDS)
        if batch is not None:
            dispatch.sending_since_s = dispatch.clock_s()
            try:
                self._send(batch)
            finally:
                dispatch.sending_since_s = None
            return 0.0
        dispatch.retries.presume_back()
        if dispatch.store.is_local:
            dispatch.spool.rest()
        return self._adopt()

    def _run_errands(self) -> None:
        dispatch = self._dispatch
        requests: list[Request] = []
        while dispatch.errands and len(requests) < _REQUESTS_AT_ONCE:
            request = dispatch.errands.popleft()
            if not request.is_answered:
                requests.append(request)
        if not requests:
            return
        dispatch.in_flight = requests
        dispatch.sending_since_s = dispatch.clock_s()
        try:
            self._write_requests(requests)
        finally:
            dispatch.sending_since_s = None
            dispatch.in_flight = ()

    def _write_requests(self, requests: Sequence[Request]) -> None:
        dispatch = self._dispatch
        try:
            kept = dispatch.store.write([], [row for found in requests for row in found.rows])
        except AWAY as error:
            dispatch.went_away(error)
            dispatch.keep_requests(requests)
        except BaseException as error:  # or those who wait would wait for ever
            if len(requests) == 1:
                requests[0].fail(error)
            else:
                for request in requests:
                    self._write_requests([request])
        else:
            dispatch.retries.succeeded()
            answer_all(requests, kept)

    def _send(self, batch: Batch) -> None:
        """Take one batch to the store, or find out that it is away."""
        dispatch = self._dispatch
        if not batch.items:
            self._move(batch, [], lost=dispatch.spool.advance(batch, []))
            return

        def taken(items: Sequence[Item]) -> None:
            failpoint("sender.taken")
            dispatch.retries.succeeded()
            lost = dispatch.spool.advance(batch, items)
            self._move(batch, items, stored=weight(items), lost=lost)

        def refused(item: Item, error: BaseException) -> None:
            is_kept = self._bury(batch, item, error)
            lost = dispatch.spool.advance(batch, [item])
            count = weight([item])
            self._move(
                batch,
                [item],
                dead_lettered=count if is_kept else 0,
                lost=lost if is_kept else lost + count,
            )

        try:
            write_halving(batch.items, self._write, taken=taken, refused=refused)
        except AWAY as error:
            dispatch.went_away(error)

    def _write(self, items: Sequence[Item]) -> None:
        generations: list[GenerationRow] = []
        feedback: list[FeedbackRow] = []
        for item in items:
            if item.record is None:
                raise DeliveryError("a newer version of Afterword wrote this record")
            if item.record.generation is not None:
                generations.append(item.record.generation)
            feedback += item.record.feedback
        # Many short waits are no long one: a store that answers each in time is not hanging.
        dispatch = self._dispatch
        for row in feedback:
            dispatch.sending_since_s = dispatch.clock_s()
            resolve(row, dispatch.store)
        dispatch.sending_since_s = dispatch.clock_s()
        dispatch.store.write(generations, feedback)

    def _bury(self, batch: Batch, item: Item, error: BaseException) -> bool:
        """Keep a refused record as a dead letter; whether there is a place for one.

        Raises:
            StoreUnavailable: there is, but it is full. The record stays where it is.
        """
        dispatch = self._dispatch
        dispatch.faults.note("writing a record", error)
        if dispatch.dead_letters is None or isinstance(batch.segment, MemorySegment):
            return False
        try:
            dispatch.dead_letters.put(item.body, reason_of(error))
        except OSError as fault:
            raise StoreUnavailable(f"a dead letter cannot be kept: {fault}") from fault
        failpoint("dead_letter.kept")
        return True

    def _move(
        self,
        batch: Batch,
        items: Sequence[Item],
        *,
        stored: int = 0,
        dead_lettered: int = 0,
        lost: int = 0,
    ) -> None:
        gone = -(stored + dead_lettered + lost)
        in_memory = isinstance(batch.segment, MemorySegment)
        self._dispatch.counts.move(
            spooled=0 if in_memory else gone,
            in_memory=gone if in_memory else 0,
            stored=stored,
            dead_lettered=dead_lettered,
            lost=lost,
            is_own=not batch.segment.is_adopted,
        )

    def _adopt(self) -> float:
        """Take over what a process that ended has left; after how long to look again."""
        dispatch = self._dispatch
        left_s = self._adopt_at_s - dispatch.clock_s()
        if left_s > 0:
            return left_s
        segment = dispatch.spool.adopt()
        if segment is not None:
            dispatch.counts.move(spooled=segment.records, is_own=False)
            return 0.0
        dispatch.spool.rest()
        self._adopt_at_s = dispatch.clock_s() + self._adopt_every_s
        return self._adopt_every_s

    # --- its thread ---------------------------------------------------------------------------

    @property
    def thread(self) -> threading.Thread | None:
        return self._thread

    def wake(self) -> None:
        """There may be something to do. Never blocks, so that a signal handler may call it."""
        if self._thread is None:
            self._start_thread()
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it has been told already

    def look_for_segments(self) -> None:
        """Look now, and not in a while, for what processes that ended have left."""
        self._adopt_at_s = float("-inf")
        self.wake()

    def close(self, timeout_s: float) -> None:
        """End the thread within the time; what is in the spool stays there."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._closing = True
            self.wake()
            thread.join(timeout_s)

    def _start_thread(self) -> None:
        if not self._thread_lock.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                self._closing = False
                thread = threading.Thread(target=self._run, name="afterword-sender", daemon=True)
                self._thread = thread
                thread.start()
        except RuntimeError:
            self._thread = None  # at the interpreter's end no threads start
        finally:
            self._thread_lock.release()

    def _run(self) -> None:
        try:
            while not self._closing or self._dispatch.errands:
                try:
                    pause_s = self.step()
                except BaseException as error:  # nothing that a store raises ends the thread
                    with suppress(BaseException):
                        self._dispatch.faults.note("the sender", error)
                    pause_s = _AFTER_FAULT_S
                if pause_s > 0 and not self._closing:
                    self._bell.acquire(timeout=max(pause_s, _LEAST_PAUSE_S))
        finally:
            self._thread = None
