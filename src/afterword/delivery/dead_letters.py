"""Dead letters: records that the store refuses for what they are, kept with the reason (layer 2).

One file a record, beside the segments of the spool, so that a letter goes by being unlinked.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator

import msgspec

from afterword.delivery.aliases import resolve
from afterword.delivery.files import Files
from afterword.delivery.frames import Spooled, framed, record_of, scan
from afterword.errors import AfterwordError, DeliveryError
from afterword.stores.protocol import Store

SUFFIX = ".dead"
_REASON_CHARS = 2_000


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that the store did not take. `record` is None when this version cannot read it."""

    name: str
    reason: str
    #: When it was given up, in microseconds since 1970.
    at: int
    body: bytes
    record: Spooled | None = None

    @property
    def kind(self) -> str:
        if self.record is None:
            return "unreadable"
        return "generation" if self.record.generation is not None else "feedback"

    @property
    def id(self) -> str:
        """The data ID of a generation, or the ID of the first statement; else the file's own name."""
        known = "" if self.record is None else self.record.key
        return known or self.name.removesuffix(SUFFIX)

    @property
    def project(self) -> str:
        """The record's project; empty when this version cannot read it."""
        if self.record is None:
            return ""
        rows = [self.record.generation, *self.record.feedback]
        return next((row.project for row in rows if row is not None), "")

    @property
    def users(self) -> set[str]:
        """Whose records these are."""
        if self.record is None:
            return set()
        rows = [*self.record.feedback]
        users = {row.user for row in rows if row.user is not None}
        generation = self.record.generation
        if generation is not None and generation.user is not None:
            users.add(generation.user)
        return users


class _Letter(msgspec.Struct):
    reason: str
    at: int
    body: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Letter)


def _name_of(body: bytes) -> str:
    """The name of a record's letter: always the same, since a process may end before it notes that it kept it."""
    made_at = 0
    try:
        record = record_of(body)
        rows = [row.received_at for row in record.feedback]
        made_at = rows[0] if record.generation is None else record.generation.created_at
    except (ValueError, IndexError):
        pass  # it has no time that this version can read
    return f"{max(made_at, 0):017d}-{hashlib.sha256(body).hexdigest()[:32]}{SUFFIX}"


class DeadLetters:
    """The dead letters of one spool."""

    def __init__(
        self,
        files: Files,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._files = files
        self._now = now

    def put(self, body: bytes, reason: str) -> None:
        """Keep a record, synced to disk. One that is kept already is not kept twice.

        Raises:
            OSError: the disk does not take it.
        """
        letter = _Letter(
            reason[:_REASON_CHARS].encode("utf-8", "replace").decode(), self._now(), body
        )
        self._files.write(_name_of(body), framed(_ENCODER.encode(letter)))

    def all(self) -> Iterator[DeadLetter]:
        """Every letter, the oldest first. What cannot be read is passed over."""
        for name in self.names():
            letter = self.get(name)
            if letter is not None:
                yield letter

    def names(self) -> list[str]:
        return [name for name in self._files.names() if name.endswith(SUFFIX)]

    def get(self, name: str) -> DeadLetter | None:
        """One letter by its file's name; None when it is gone or damaged."""
        try:
            found = scan(self._files.read(name))
            letter = _DECODER.decode(found.frames[0].body)
        except (OSError, IndexError, msgspec.MsgspecError):
            return None
        try:
            record = record_of(letter.body)
        except ValueError:
            record = None
        return DeadLetter(name, letter.reason, letter.at, letter.body, record)

    def replay(self, letter: DeadLetter, store: Store) -> None:
        """Give a letter to the store once more; it goes when the store takes it.

        Raises:
            StoreError: the store still refuses it, or is away. The letter stays.
            DeliveryError: this version cannot read it. The letter stays.
        """
        record = letter.record
        if record is None:
            raise DeliveryError("a newer version of Afterword wrote this record")
        for row in record.feedback:
            resolve(row, store)
        store.write([] if record.generation is None else [record.generation], record.feedback)
        self.drop(letter.name)

    def drop(self, name: str) -> None:
        """Remove a letter for good."""
        self._files.unlink(name)

    def erase(self, user: str, data_ids: Collection[str] = (), project: str | None = None) -> int:
        """Remove the letters with a user's records, or with feedback on these generations.

        Gives how many records there were. Damaged letters go too, since nobody can tell whose they are,
        and of a newer version's those in which the user's name stands.
        """
        erased = 0
        for name in self.names():
            letter = self.get(name)
            if letter is None:
                self._files.read(name)  # so that one that only this disk cannot read stays
                self.drop(name)
            elif letter.record is None:
                if user.encode("utf-8", "replace") in letter.body:
                    self.drop(name)
                    erased += 1
            elif project in (None, letter.project) and (
                user in letter.users
                or any(row.data_id in data_ids for row in letter.record.feedback)
            ):
                self.drop(name)
                erased += letter.record.records
        return erased


def reason_of(error: BaseException) -> str:
    """What an error says, as the reason of a letter."""
    try:
        told = str(error)
    except Exception:
        told = ""
    return told if isinstance(error, AfterwordError) and told else f"{type(error).__name__}: {told}"
