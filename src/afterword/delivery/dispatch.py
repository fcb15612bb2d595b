"""Where records go: to the store, else to the spool, else nowhere yet (layer 2).

The recorder's thread asks `deliver`, and waits for a local store only. The sender's thread takes what is in
the spool to the store, and feedback to a remote one. What both need to know of each other is here; the
clock, the dice, the files and the store are handed in, so that a simulation can drive all of it.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from afterword.delivery.counts import Counts
from afterword.delivery.dead_letters import DeadLetters, reason_of
from afterword.delivery.failpoints import failpoint
from afterword.delivery.faults import Faults
from afterword.delivery.frames import Spooled, body_of
from afterword.delivery.halving import AWAY, write_halving
from afterword.delivery.requests import Request, answer_all
from afterword.delivery.retries import LOCAL, REMOTE, Retries
from afterword.delivery.spool import Spool
from afterword.errors import DeliveryError, StoreBusy
from afterword.stores.protocol import Store
from afterword.stores.rows import GenerationRow

#: How long feedback may be on its way to the store before it goes to the spool, where there is one.
PATIENCE_S = 1.0

#: How long records wait for another process's lock before they do: until then, only memory has them.
_LOCK_PATIENCE_S = 0.05


class Dispatch:
    """Takes encoded records and feedback from one recorder, and sees that they are somewhere safe."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        faults: Faults,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        draw: random.Random | None = None,
    ) -> None:
        self.store = store
        self.spool = spool
        self.dead_letters = None if spool.files is None else DeadLetters(spool.files)
        self.faults = faults
        self.clock_s = clock_s
        self._draw = draw
        #: Called when there is something for the sender to do.
        self.wake_sender: Callable[[], None] = lambda: None
        self.start_empty()

    def start_empty(self) -> None:
        self.counts = Counts()
        self.is_durable = True
        pace = LOCAL if self.store.is_local else REMOTE
        self.retries = Retries(pace, clock_s=self.clock_s, draw=self._draw)
        #: Feedback that the sender is to take to the store, and what it is taking there.
        self.errands: deque[Request] = deque()
        self.in_flight: Sequence[Request] = ()
        #: Since when the sender has been waiting for the store.
        self.sending_since_s: float | None = None

    # --- the recorder's side ------------------------------------------------------------------

    def deliver(
        self, rows: list[GenerationRow], requests: list[Request], *, strict: bool
    ) -> list[GenerationRow]:
        """Bring rows and requests to safety; gives the rows that nobody took, for another try.

        With `strict`, what goes to the spool is synced; `is_durable` then says whether all of it is safe.
        """
        self.is_durable = True
        if self.store.is_local and not (self._is_occupied() and self.spool.is_on_disk):
            return self._write_through(rows, requests, strict)
        if self.retries.away and self.spool.is_on_disk:
            self.keep_requests(requests)
        elif requests and not (
            self.is_hanging() and self.spool.is_on_disk and self._spool_requests(requests)
        ):
            self._send_out(requests)
        return self._keep_rows(rows, strict)

    def _send_out(self, requests: Sequence[Request]) -> None:
        # Behind a write that has been waited for, the wait is the same.
        since_s = self.sending_since_s
        for request in requests:
            request.since_s = self.clock_s() if since_s is None else since_s
            self.errands.append(request)
        self.wake_sender()

    def _is_occupied(self) -> bool:
        """Whether a local store is away, or the sender is at it, which may be waiting for a lock."""
        return self.retries.away or self.sending_since_s is not None

    def is_hanging(self) -> bool:
        """Whether the sender has been waiting for the store for so long that it may wait in vain."""
        since_s = self.sending_since_s
        return since_s is not None and self.clock_s() - since_s > PATIENCE_S

    def is_silent(self) -> bool:
        """Whether the store is away, or may be."""
        return self.retries.away or self.is_hanging()

    def overdue_s(self) -> float | None:
        """After how long `reclaim` has something to do; None when no feedback is on its way."""
        waiting = [*self.in_flight, *list(self.errands)]
        since_s = [request.since_s for request in waiting if not request.is_answered]
        return min(since_s) + PATIENCE_S - self.clock_s() if since_s else None

    def reclaim(self) -> None:
        """Keep on disk the feedback that the store has taken too long over."""
        late_s = self.clock_s() - PATIENCE_S
        waiting = [*self.in_flight, *list(self.errands)]
        late = [found for found in waiting if not found.is_answered and found.since_s <= late_s]
        if not late:
            return
        if not self._spool_requests(late):
            for request in late:
                request.since_s = self.clock_s()  # the sender will know, in the end

    def _write_through(
        self, rows: list[GenerationRow], requests: list[Request], strict: bool
    ) -> list[GenerationRow]:
        """Write straight to a local store, all of it in one transaction."""
        feedback = [row for request in requests for row in request.rows]
        store: Any = self.store
        if self.spool.files is not None and hasattr(store, "patience_s"):
            store.patience_s = _LOCK_PATIENCE_S  # that of this thread
        try:
            kept = self.store.write(rows, feedback)
        except AWAY as error:
            if isinstance(error, StoreBusy) and not self.retries.away and self.spool.is_on_disk:
                # The sender waits for its turn, and says so when that is too long in coming.
                self._send_out(requests)
                return self._keep_rows(rows, strict)
            self.went_away(error)
            self.keep_requests(requests)
            return self._keep_rows(rows, strict)
        except BaseException as error:  # or those who wait would wait for ever
            self.faults.note("writing a batch", error)
            left = self._write_apart(rows, strict)
            self._try_each(requests)
            return left
        self.retries.succeeded()
        self.counts.move(in_hand=-len(rows), stored=len(rows))
        answer_all(requests, kept)
        return []

    def _write_apart(self, rows: list[GenerationRow], strict: bool) -> list[GenerationRow]:
        """Something in a batch was refused: write the rest of it."""
        left = list(rows)

        def taken(part: Sequence[GenerationRow]) -> None:
            del left[: len(part)]
            self.counts.move(in_hand=-len(part), stored=len(part))

        def refused(row: GenerationRow, error: BaseException) -> None:
            del left[:1]
            self.faults.note("writing a generation", error)
            is_kept = self._bury(Spooled(generation=row), error)
            self.is_durable = self.is_durable and is_kept
            self.counts.move(in_hand=-1, dead_lettered=int(is_kept), lost=int(not is_kept))

        try:
            write_halving(
                rows, lambda part: self.store.write(part, []), taken=taken, refused=refused
            )
        except AWAY as error:
            self.went_away(error)
            return self._keep_rows(left, strict)
        return left

    def _keep_rows(self, rows: list[GenerationRow], strict: bool) -> list[GenerationRow]:
        if not rows:
            return rows
        records = [Spooled(generation=row) for row in rows]
        try:
            self.spool.append(records, sync=strict)
        except ValueError as error:
            return self._keep_each(rows, strict, error)
        except (OSError, DeliveryError) as error:
            if self.spool.files is not None:
                self.faults.note("writing the spool", error)
            self.is_durable = False
            if self.store.is_local or not self.spool.remember(records):
                return rows
            self.counts.move(in_hand=-len(rows), in_memory=len(rows))
        else:
            self.counts.move(in_hand=-len(rows), spooled=len(rows))
        self.wake_sender()
        return []

    def _keep_each(
        self, rows: list[GenerationRow], strict: bool, error: ValueError
    ) -> list[GenerationRow]:
        """One of the rows cannot be written down: find out which."""
        if len(rows) > 1:
            return [left for row in rows for left in self._keep_rows([row], strict)]
        self.is_durable = False
        self.faults.note("writing down a generation", error)
        self.counts.move(in_hand=-1, lost=1)
        return []

    # --- either side --------------------------------------------------------------------------

    def went_away(self, error: BaseException) -> None:
        """The store did not take something, and may later."""
        self.retries.failed(error)
        self.faults.note("reaching the store", error)
        self.wake_sender()

    def keep_requests(self, requests: Sequence[Request]) -> None:
        """The store is away: keep feedback on this disk, or say that it could not be kept."""
        waiting = [request for request in requests if not request.is_answered]
        if waiting and not self._spool_requests(waiting):
            if self.store.is_local:
                self._try_each(waiting)
            else:
                reason = self.retries.reason or DeliveryError()
                for request in waiting:
                    request.fail(reason)

    def _spool_requests(self, requests: Sequence[Request]) -> bool:
        count = sum(len(request.rows) for request in requests)
        try:
            self.spool.append([Spooled(feedback=found.rows) for found in requests], sync=True)
        except (OSError, ValueError, DeliveryError) as error:
            if self.spool.files is not None:
                self.faults.note("writing feedback to the spool", error)
            return False
        self.counts.move(spooled=count)
        for request in requests:
            request.answer(request.rows, pending=True)
        self.wake_sender()
        return True

    def _try_each(self, requests: Sequence[Request]) -> None:
        """Ask the store about each of the requests; none of them is kept elsewhere."""
        for request in requests:
            try:
                request.answer(self.store.write([], request.rows))
            except AWAY as error:
                self.retries.failed(error)
                if not (self.spool.is_on_disk and self._spool_requests([request])):
                    request.fail(error)
            except BaseException as error:
                request.fail(error)

    def _bury(self, record: Spooled, error: BaseException) -> bool:
        """Keep a refused record as a dead letter, whether that is possible or not."""
        if self.dead_letters is None or not self.spool.is_on_disk:
            return False
        try:
            self.dead_letters.put(body_of(record), reason_of(error))
        except (OSError, ValueError) as fault:
            self.faults.note("keeping a dead letter", fault)
            return False
        failpoint("dead_letter.kept")
        return True
