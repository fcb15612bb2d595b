"""The spool: what the store could not take yet, in append-only segments on disk (layer 2).

Each process appends to a segment of its own, which it keeps locked; a segment that nobody locks was left
by a process that ended, and whoever finds it first delivers it. A segment goes by being unlinked, once the
store has all of it, so that a full disk can be freed. What no disk takes waits in memory, if little.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from afterword.delivery.failpoints import failpoint
from afterword.delivery.files import UNFINISHED_SUFFIX, Files, SegmentFile, TornWrite
from afterword.delivery.frames import Gap, Spooled, frame
from afterword.delivery.segments import DiskSegment, Item, MemorySegment, Segment, weight
from afterword.errors import DeliveryError

CAP_BYTES = 1_000_000_000
SEGMENT_BYTES = 8_000_000
MEMORY_RECORDS = 500
SUFFIX, DAMAGED_SUFFIX = ".seg", ".damaged"

#: On every disk this much stays free, or a twentieth of it when that is less.
_RESERVE_BYTES = 500_000_000
_RESERVE_SHARE = 20
#: A segment with nothing left in it is kept for more records until it is this large.
_REUSED_BYTES = 256_000
_MEASURED_EVERY_S = 1.0
_SYNCED_EVERY_S = 1.0
_PREPARED_EVERY_S = 5.0


class Batch(NamedTuple):
    """The next records of one segment, and the damage between them."""

    segment: Segment
    items: list[Item]
    gaps: list[Gap]


class Spool:
    """Records in order until the store has them. One thread may append while another takes them out."""

    def __init__(
        self,
        files: Files | None,
        *,
        prepare: Callable[[], None] = lambda: None,
        on_fault: Callable[[str, BaseException], None] = lambda kind, error: None,
        cap_bytes: int = CAP_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        clock_s: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self.files = files
        self._prepare = prepare
        self._on_fault = on_fault
        self._cap_bytes = cap_bytes
        self._segment_bytes = segment_bytes
        self._clock_s = clock_s
        self._now = now
        self._token = token
        self._start_empty()

    def _start_empty(self) -> None:
        self._lock = threading.RLock()
        self._segments: list[DiskSegment] = []
        self._active: DiskSegment | None = None
        self._stuck: set[str] = set()
        self.memory = MemorySegment()
        self._prepared_at_s: float | None = None
        self._problem: BaseException | None = None
        self._measured_again_at_s = float("-inf")
        self._room_bytes = 0
        self._synced_at_s = self._clock_s()
        self._is_unsynced = self._is_new = False

    @property
    def is_on_disk(self) -> bool:
        """Whether there is a spool on disk; where there should be one, it is made."""
        return self._ready()

    @property
    def problem(self) -> BaseException | None:
        """Why there is no spool on disk; None when there is one."""
        self._ready()
        return self._problem

    @property
    def is_empty(self) -> bool:
        """Whether nothing of this process, or adopted by it, waits here."""
        with self._lock:
            return self.memory.is_empty and all(found.is_empty for found in self._segments)

    def has_segments(self) -> bool:
        """Whether there are segments on disk, whosever they are. Makes nothing, and never raises."""
        try:
            names = () if self.files is None else self.files.names()
        except OSError:
            return False
        return any(name.endswith(SUFFIX) for name in names)

    def append(self, records: Sequence[Spooled], *, sync: bool) -> None:
        """Write records to disk, all or none; with `sync`, they would outlast a power cut.

        Raises:
            OSError: the disk did not take them.
            DeliveryError: there is no spool on disk.
            ValueError: a record cannot be written down.
        """
        data = b"".join(map(frame, records))
        with self._lock:
            self._require()
            self._check_room(len(data))
            try:
                segment = self._appended(data, sync)
            except FileNotFoundError:
                segment = self._appended(data, sync)  # somebody removed the one before
            self._room_bytes -= len(data)
            segment.end = segment.file.size_bytes()
            segment.records += sum(record.records for record in records)

    def _appended(self, data: bytes, sync: bool) -> DiskSegment:
        segment = self._writable()
        before = segment.file.size_bytes()
        try:
            segment.file.append(data)
            failpoint("spool.appended")
            self._sync(segment, sync)
        except OSError as error:
            self._set_aside(segment, before, error)
            raise
        return segment

    def remember(self, records: Sequence[Spooled]) -> bool:
        """Keep records in memory, which has room for few; whether they are kept."""
        with self._lock:
            if self.memory.records + len(records) > MEMORY_RECORDS:
                return False
            self.memory.append(records)
            return True

    def sync(self) -> bool:
        """Let all that is on disk outlast a power cut; whether it will."""
        with self._lock:
            try:
                if self._active is not None and self._is_unsynced:
                    self._sync_now(self._active)
                for segment in (self._active, *self._segments):
                    if segment is not None and not segment.is_empty:
                        self._require_there(segment)
            except OSError as error:
                self._on_fault("syncing the spool", error)
                return False
            return True

    def _require_there(self, segment: DiskSegment) -> None:
        """A segment that somebody removed is still read by this process, and by no other after it."""
        if self.files is not None and self.files.size_bytes(segment.name) == 0:
            if segment is self._active:
                self._active = None
            raise FileNotFoundError(errno.ENOENT, "the segment was removed", segment.name)

    def peek(self, most: int) -> Batch | None:
        """The next records; None when there are none."""
        with self._lock:
            segments: list[Segment] = [*self._segments, self.memory]
            segment = next((found for found in segments if not found.is_empty), None)
        return None if segment is None else Batch(segment, *segment.peek(most))

    def advance(self, batch: Batch, items: Sequence[Item]) -> int:
        """These, the first of the batch, are in good hands; how many records were lost to damage."""
        segment = batch.segment
        lost = 0
        with self._lock:
            segment.advance(items)
            if isinstance(segment, DiskSegment) and segment in self._segments:
                for gap in [gap for gap in batch.gaps if not items or gap.end <= segment.place]:
                    batch.gaps.remove(gap)
                    lost += self._pass_by(segment, gap)
                if segment.is_empty:
                    # Damage may have been more than one record.
                    lost += segment.records
                    segment.records = 0
                    self._let_go(segment)
        return lost

    def _pass_by(self, segment: DiskSegment, gap: Gap) -> int:
        self._quarantine(segment, gap)
        segment.place = max(segment.place, gap.end)
        if segment.records == 0:
            return 0
        segment.records -= 1
        return 1

    def adopt(self) -> DiskSegment | None:
        """Take over one segment of a process that ended; None when there is none."""
        with self._lock:
            if self.files is None:
                return None
            passed = {segment.name for segment in self._segments} | self._stuck
            try:
                left = [name for name in self.files.names() if name.endswith(SUFFIX)]
                for name in left if left and self._ready() else ():
                    if name not in passed:
                        file = self.files.take_over(name)
                        if file is not None:
                            return self._adopted(
                                DiskSegment(name, file, end=file.size_bytes(), is_adopted=True)
                            )
            except OSError as error:
                self._on_fault("looking for segments", error)
            return None

    def _adopted(self, segment: DiskSegment) -> DiskSegment | None:
        failpoint("spool.adopted")
        self._segments.append(segment)
        if segment.is_empty:
            self._let_go(segment)
            return None
        while not segment.is_empty:  # counted from end to end, a piece at a time
            items, gaps = segment.peek(1_000)
            segment.place = items[-1].end if items else gaps[-1].end
            segment.records += weight(items) + len(gaps)
        segment.place = 0
        return segment

    def release(self) -> None:
        """Remove what is delivered, and leave the rest for whoever comes next. Appending goes on anew."""
        with self._lock:
            self.sync()
            self._active = None
            for segment in list(self._segments):
                if segment.is_empty:
                    self._let_go(segment)
                else:
                    self._segments.remove(segment)
                    segment.file.close()

    def rest(self) -> None:
        """Remove this process's segment when nothing is left in it."""
        with self._lock:
            if self._active is not None and self._active.is_empty:
                active, self._active = self._active, None
                self._let_go(active)

    def retire(self) -> set[str]:
        """Let what comes go to a new segment; the names of those that are there, whosever they are."""
        with self._lock:
            if self.files is None:
                return set()
            self.sync()
            self.rest()
            self._active = None
            return {name for name in self.files.names() if name.endswith(SUFFIX)}

    def drop_damaged(self) -> None:
        """Remove what could not be read, and what a process that ended has half written."""
        if self.files is not None:
            for name in self.files.names():
                if name.endswith((DAMAGED_SUFFIX, UNFINISHED_SUFFIX)):
                    self.files.unlink(name)

    def forget_after_fork(self) -> None:
        """In a child process: the segments stay the parent's."""
        for segment in self._segments:
            segment.file.close()
        self._start_empty()

    # --- appending ----------------------------------------------------------------------------

    def _ready(self) -> bool:
        """Whether there is a spool on disk. Now and then one that was not usable is tried again."""
        if self.files is None:
            return False
        now_s = self._clock_s()
        last_s = self._prepared_at_s
        if last_s is not None and (self._problem is None or now_s - last_s < _PREPARED_EVERY_S):
            return self._problem is None
        self._prepared_at_s = now_s
        try:
            self._prepare()
            self._problem = None
        except DeliveryError as error:
            self._problem = error
            self._on_fault("opening the spool", error)
        return self._problem is None

    def _require(self) -> None:
        if not self._ready():
            raise DeliveryError(
                "there is no spool on disk" if self._problem is None else str(self._problem)
            )

    def _check_room(self, wanted_bytes: int) -> None:
        assert self.files is not None
        now_s = self._clock_s()
        if self._room_bytes < wanted_bytes or now_s >= self._measured_again_at_s:
            try:
                used_bytes = sum(map(self.files.size_bytes, self.files.names()))
                free_bytes, all_bytes = self.files.free_bytes()
            except FileNotFoundError:
                used_bytes, free_bytes, all_bytes = 0, 1 << 62, 1 << 62  # it will be made again
            reserve_bytes = min(_RESERVE_BYTES, all_bytes // _RESERVE_SHARE)
            self._room_bytes = min(self._cap_bytes - used_bytes, free_bytes - reserve_bytes)
            # A folder of very many dead letters takes a while to measure.
            took_s = self._clock_s() - now_s
            self._measured_again_at_s = now_s + max(_MEASURED_EVERY_S, took_s * 20)
        if self._room_bytes < wanted_bytes:
            raise OSError(errno.ENOSPC, "the spool is full, or the disk is")

    def _writable(self) -> DiskSegment:
        active = self._active
        if active is not None and active.file.size_bytes() < self._segment_bytes:
            return active
        if active is not None:
            self.sync()
        self._active = None
        name = f"{self._now():017d}-{os.getpid()}-{self._token()}{SUFFIX}"
        self._active = DiskSegment(name, self._created(name))
        self._segments.append(self._active)
        self._is_new = True
        failpoint("spool.created")
        return self._active

    def _created(self, name: str) -> SegmentFile:
        assert self.files is not None
        try:
            return self.files.create(name)
        except FileNotFoundError:
            self._prepared_at_s = None  # somebody removed the folder
            self._require()
            return self.files.create(name)

    def _sync(self, segment: DiskSegment, wanted: bool) -> None:
        self._is_unsynced = True
        if wanted or self._clock_s() - self._synced_at_s >= _SYNCED_EVERY_S:
            self._sync_now(segment)
        if wanted:
            failpoint("spool.synced")
            self._require_there(segment)

    def _sync_now(self, segment: DiskSegment) -> None:
        assert self.files is not None
        segment.file.sync()
        if self._is_new:
            self.files.sync_names()
        self._is_new = self._is_unsynced = False
        self._synced_at_s = self._clock_s()

    def _set_aside(self, segment: DiskSegment, size_bytes: int, error: OSError) -> None:
        """After a failure: what was to be appended goes, and the next records go elsewhere."""
        self._measured_again_at_s = float("-inf")
        try:
            if not isinstance(error, TornWrite):
                segment.file.cut(size_bytes)
            self._sync_now(segment)
        except OSError:
            pass  # what of it is there is found by its checksum, or passed over
        self._active = None
        if segment.is_empty:
            self._let_go(segment)

    # --- taking out ---------------------------------------------------------------------------

    def _let_go(self, segment: DiskSegment) -> None:
        """Remove a segment of which nothing is left, unless there is room in it for more."""
        assert self.files is not None
        if segment is self._active:
            if segment.file.size_bytes() < _REUSED_BYTES:
                return
            self._active = None
        failpoint("spool.delivered")
        try:
            self.files.unlink(segment.name)
        except OSError as error:
            self._stuck.add(segment.name)
            self._on_fault("removing a segment", error)
        failpoint("spool.unlinked")
        self._segments.remove(segment)
        segment.file.close()
        self._measured_again_at_s = float("-inf")

    def _quarantine(self, segment: DiskSegment, gap: Gap) -> None:
        """Keep what cannot be read, for whoever wants to look into it."""
        assert self.files is not None
        try:
            data = segment.file.read(gap.start, gap.end - gap.start)
            self.files.write(f"{segment.name}.{gap.start}{DAMAGED_SUFFIX}", data)
        except OSError as error:
            self._on_fault("keeping what is damaged", error)
        self._on_fault("reading the spool", ValueError(f"{gap.end - gap.start} damaged bytes"))
