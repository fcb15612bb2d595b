"""A world for the delivery code to live in: a disk, a store, a clock, all of them made of dice.

What a process wrote outlasts its end, as with an operating system that goes on; what it did not sync may
not outlast a power cut, and what it was writing at that moment may be there in part.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from afterword.delivery.files import TornWrite
from afterword.errors import StoreBusy, StoreError, StoreTooLarge, StoreUnavailable
from afterword.feedback.rows import FeedbackRow
from afterword.stores.rows import GenerationRow


class Killed(BaseException):
    """The process is no more. Whatever it still tries has no effect."""


@dataclass
class Life:
    """Whether a simulated process lives, and when it is to die."""

    steps_left: int | None = None
    is_over: bool = False

    def step(self) -> None:
        """One thing is about to be done; the process may not live to see it done."""
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                self.is_over = True
        if self.is_over:
            raise Killed

    def is_last(self) -> bool:
        """Whether the process dies with the next thing it does."""
        return self.steps_left == 0


@dataclass(eq=False)
class Inode:
    data: bytearray = field(default_factory=bytearray)
    #: As a power cut would leave it, at least.
    synced: bytes = b""
    holder: Life | None = None


class Disk:
    """Files by name, shared by all processes of a history."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.names: dict[str, Inode] = {}
        self.synced_names: dict[str, Inode] = {}
        self.is_full = False
        self.fails_next = False

    def trouble(self) -> None:
        if self.fails_next:
            self.fails_next = False
            raise OSError(errno.EIO, "the disk failed")

    def cut_power(self) -> None:
        """Forget what was not synced, or some of it."""
        names = dict(self.synced_names)
        for name, inode in self.names.items():
            if name not in names and self.dice.random() < 0.5:
                names[name] = inode
        for name in list(names):
            if name not in self.names and self.dice.random() < 0.5:
                del names[name]  # the unlinking had got through
        for inode in names.values():
            unsynced = bytes(inode.data[len(inode.synced) :])
            kept = self.dice.randrange(len(unsynced) + 1)
            tail = bytearray(unsynced[:kept])
            if tail and self.dice.random() < 0.3:
                tail[self.dice.randrange(len(tail))] ^= 0xFF
            inode.data = bytearray(inode.synced + bytes(tail))
            inode.synced = bytes(inode.data)
            inode.holder = None
        self.names, self.synced_names = names, dict(names)


class SimulatedFile:
    """One process's hold on one file."""

    def __init__(self, disk: Disk, inode: Inode, life: Life) -> None:
        self._disk, self._inode, self._life = disk, inode, life

    def append(self, data: bytes) -> None:
        if self._life.is_last():
            self._inode.data += data[: self._disk.dice.randrange(len(data) + 1)]
        self._life.step()
        self._disk.trouble()
        if self._disk.is_full:
            if self._disk.dice.random() < 0.3:
                self._inode.data += data[: self._disk.dice.randrange(len(data))]
                raise TornWrite(errno.ENOSPC, "no space left")
            raise OSError(errno.ENOSPC, "no space left")
        self._inode.data += data

    def read(self, start: int, size_bytes: int) -> bytes:
        self._life.step()
        return bytes(self._inode.data[start : start + size_bytes])

    def size_bytes(self) -> int:
        return len(self._inode.data)

    def cut(self, size_bytes: int) -> None:
        self._life.step()
        del self._inode.data[size_bytes:]
        self._inode.synced = self._inode.synced[:size_bytes]

    def sync(self) -> None:
        self._life.step()
        self._disk.trouble()
        self._inode.synced = bytes(self._inode.data)

    def close(self) -> None:
        if self._inode.holder is self._life:
            self._inode.holder = None


class SimulatedFiles:
    """The folder, as one process sees it."""

    def __init__(self, disk: Disk, life: Life) -> None:
        self._disk, self._life = disk, life

    def names(self) -> list[str]:
        return sorted(self._disk.names)

    def create(self, name: str) -> SimulatedFile:
        self._life.step()
        self._disk.trouble()
        if self._disk.is_full:
            raise OSError(errno.ENOSPC, "no space left")
        if name in self._disk.names:
            raise FileExistsError(errno.EEXIST, "there already")
        inode = self._disk.names[name] = Inode(holder=self._life)
        return SimulatedFile(self._disk, inode, self._life)

    def take_over(self, name: str) -> SimulatedFile | None:
        self._life.step()
        inode = self._disk.names.get(name)
        if inode is None or (inode.holder is not None and not inode.holder.is_over):
            return None
        inode.holder = self._life
        return SimulatedFile(self._disk, inode, self._life)

    def read(self, name: str) -> bytes:
        self._life.step()
        return bytes(self._disk.names[name].data)

    def write(self, name: str, data: bytes) -> None:
        self._life.step()
        self._disk.trouble()
        if self._disk.is_full:
            raise OSError(errno.ENOSPC, "no space left")
        inode = self._disk.names[name] = Inode(bytearray(data), data)
        self._disk.synced_names[name] = inode

    def unlink(self, name: str) -> None:
        self._life.step()
        self._disk.trouble()
        self._disk.names.pop(name, None)

    def size_bytes(self, name: str) -> int:
        inode = self._disk.names.get(name)
        return 0 if inode is None else len(inode.data)

    def free_bytes(self) -> tuple[int, int]:
        return (1 << 40, 1 << 40)

    def sync_names(self) -> None:
        self._life.step()
        self._disk.trouble()
        self._disk.synced_names = dict(self._disk.names)


class Shelf:
    """What the store has, whoever asks."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.generations: dict[str, str | None] = {}
        self.feedback: dict[str, str | None] = {}
        self.is_away = False
        self.loses_next_reply = False
        self.poison: set[str] = set()
        self.most_at_once = 1_000_000
        self.changed: list[str] = []


class SimulatedStore:
    """The store, as one process reaches it. All of a write is kept, or none of it."""

    url = "simulated:"

    def __init__(self, shelf: Shelf, life: Life, *, is_local: bool) -> None:
        self._shelf, self._life, self.is_local = shelf, life, is_local

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> list[FeedbackRow]:
        shelf = self._shelf
        self._life.step()
        if shelf.is_away:
            reason: StoreError = StoreUnavailable("away")
            if shelf.dice.random() < 0.3:
                reason = StoreBusy("busy")
                reason.retry_after_s = shelf.dice.uniform(0, 3)
            raise reason
        if len(generations) + len(feedback) > shelf.most_at_once:
            raise StoreTooLarge
        if shelf.poison & ({row.id for row in generations} | {row.id for row in feedback}):
            raise StoreError("I cannot swallow that")
        for kept, rows in ((shelf.generations, generations), (shelf.feedback, feedback)):
            for row in rows:
                content = row.inputs if isinstance(row, GenerationRow) else row.value
                if kept.setdefault(row.id, content) != content:
                    shelf.changed.append(row.id)
        if shelf.loses_next_reply:
            shelf.loses_next_reply = False
            raise StoreUnavailable("the reply was lost")
        self._life.step()  # killed after the commit, before hearing of it
        return list(feedback)

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        return None

    def forget_after_fork(self) -> None:
        raise AssertionError("nobody forks here")
