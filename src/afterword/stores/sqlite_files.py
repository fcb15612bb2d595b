"""SQLite files: made, checked, opened and brought to the present schema (layer 2).

apsw brings its own current SQLite, free of the WAL-reset race of 3.7.0 to 3.51.2. A file that is
not ours, or of a newer version, is refused before anything is written to it; one of ours that is
damaged is set aside.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import apsw

from afterword.errors import StoreBusy, StoreError, StoreTooNew, StoreUnavailable
from afterword.stores.sql import migrations, statements
from afterword.stores.sqlite_forks import GATE
from afterword.stores.sqlite_recovery import APPLICATION_ID, IDENTITY, alone, look_at

BUSY_TIMEOUT_S = 5.0

SQL = statements("sqlite")

#: A generation is a few kB, so the default page holds one and a batch writes half as much again.
_PAGE_BYTES = 16_384
#: As SQLite's own timeout waits, which no other thread can end.
_DELAYS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.025, 0.025, 0.05, 0.05)
_LONGEST_S = 0.1


class Patience:
    """How long connections wait for the locks of others, each thread as it says, or until `end`."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._over = threading.Event()

    @property
    def patience_s(self) -> float:
        """How long the calling thread waits."""
        own: float = getattr(self._own, "patience_s", BUSY_TIMEOUT_S)
        return own

    @patience_s.setter
    def patience_s(self, seconds: float) -> None:
        self._own.patience_s = seconds

    def __call__(self, tries: int) -> bool:
        """Wait a little; whether to try again. What SQLite calls when a lock is taken."""
        beyond = max(tries - len(_DELAYS_S), 0)
        if sum(_DELAYS_S[:tries]) + beyond * _LONGEST_S > self.patience_s:
            return False
        delay_s = _DELAYS_S[tries] if tries < len(_DELAYS_S) else _LONGEST_S
        with GATE.outside():
            return not self._over.wait(delay_s)

    def end(self) -> None:
        """End every wait, now and later."""
        self._over.set()


def open_writer(
    path: str, patience: Callable[[int], bool], *, is_suspect: bool = False
) -> apsw.Connection:
    """A connection that writes. The file is made when it is missing, mode 0600.

    One that was not closed well, or `is_suspect`, is looked at before; what is damaged is set aside.
    """
    scripts = migrations("sqlite")
    with alone(path, patience):
        look_at(path, len(scripts), is_suspect=is_suspect)
        try:
            return _opened(path, patience, scripts)
        except (apsw.CorruptError, apsw.NotADBError):
            look_at(path, len(scripts), is_suspect=True)
            return _opened(path, patience, scripts)


def _opened(path: str, patience: Callable[[int], bool], scripts: Sequence[str]) -> apsw.Connection:
    _create(path)
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        # Of a file that is refused, not even the log is put away.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.set_busy_handler(patience)
        if connection.readonly("main"):
            raise StoreUnavailable(f"the database {path} is read-only")
        check_version(connection, path, len(scripts))
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # counts for a new file only
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # who is erased is gone from the file, too
        migrate(connection, scripts, path)
        _give_identity(connection)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: str, patience: Callable[[int], bool]) -> apsw.Connection:
    """A connection that cannot write, to a file that `open_writer` has opened before."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_handler(patience)
    connection.execute("PRAGMA query_only = ON")
    connection.pragma("schema_version")  # takes the lock that says that the file is in use
    return connection


def migrate(connection: apsw.Connection, scripts: Sequence[str], path: str) -> None:
    """Bring the schema up to the last of `scripts`, each in a transaction with its number.

    Raises:
        StoreTooNew: the file has seen more of them.
    """
    if check_version(connection, path, len(scripts)) == len(scripts):
        return
    for number, script in enumerate(scripts, start=1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have got here first, so the number is read under the lock.
            if check_version(connection, path, len(scripts)) < number:
                connection.execute(script)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, apsw.SQLError):
                told = f"{path} is not what its version {number - 1} says: {error}"
                raise StoreUnavailable(told) from error
            raise


def check_version(connection: apsw.Connection, path: str, newest: int) -> int:
    """How many migrations a file has seen; 0 for an empty one.

    Raises:
        StoreTooNew: more than `newest`.
        StoreUnavailable: the file is another program's.
    """
    application = connection.pragma("application_id")
    version = int(connection.pragma("user_version"))
    if application == 0 and version == 0:
        is_foreign = (
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None
        )
    else:
        is_foreign = application != APPLICATION_ID
    if is_foreign:
        raise StoreUnavailable(f"{path} is a database of another program")
    if version > newest:
        raise StoreTooNew(f"{path} was written by a newer version of Afterword; upgrade to open it")
    return version


@contextmanager
def errors_of(path: str) -> Generator[None]:
    """Turn what SQLite raises into errors of ours that name the file."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreBusy(f"the database {path} is locked: {error}") from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreUnavailable(f"{path} is damaged or no database: {error}") from error
    except (
        apsw.CantOpenError,
        apsw.FullError,
        apsw.IOError,
        apsw.PermissionsError,
        apsw.ReadOnlyError,
    ) as error:
        raise StoreUnavailable(f"cannot use the database {path}: {error}") from error
    except apsw.Error as error:
        raise StoreError(f"the database {path} refused: {error}") from error


def _give_identity(connection: apsw.Connection) -> None:
    """Make sure that the file itself, not only its log, says which one it is."""
    known = connection.execute(SQL["get_setting"], {"name": IDENTITY}).fetchone()
    if known is None:
        connection.execute(SQL["make_setting"], (IDENTITY, secrets.token_hex(16)))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _create(path: str) -> None:
    # One that is there is not touched: to open and close it would end the locks that this process's
    # other connections hold on it.
    if os.path.isfile(path):
        return
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"cannot open the database {path}: {error.strerror or error}"
        ) from error
