"""SQLite files that nobody closed: looked at before use, and set aside when they are damaged (layer 2).

A file that was closed well has no log beside it. One that has, and that no process has open, is looked
at alone, under an exclusive lock: is its structure whole, and is the log its own? What is not is renamed,
never deleted, and the operator told. Flipped bits inside a text are beyond what SQLite can tell.

All of it happens under a lock on the folder, so that processes that start at once agree.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from urllib.parse import quote

import apsw

try:
    import fcntl
except ImportError:  # on Windows, where folders have no locks
    fcntl = None  # type: ignore[assignment]

from afterword.errors import StoreBusy, StoreUnavailable

__all__ = ["APPLICATION_ID", "IDENTITY", "alone", "log_bytes", "look_at", "set_aside_files"]

APPLICATION_ID = 0x41465457  # "AFTW", so that `file` and we know a file of ours
#: The setting that a file and its log must agree on.
IDENTITY = "store_identity"
#: A file that takes longer to look at is used as it is; `afterword doctor` says what it is like.
LOOK_S = 20.0
LOOK_CLOSER_S = 5.0

_APPLICATION_ID_AT = 68
#: The log's format, as SQLite's documentation of its files has it.
_LOG_HEAD_BYTES, _FRAME_HEAD_BYTES = 32, 24
_STEPS = 200_000
_DAMAGED = (apsw.CorruptError, apsw.NotADBError)
_LOGGER = logging.getLogger("afterword")


@contextmanager
def alone(path: str, patience: Callable[[int], bool]) -> Generator[None]:
    """Hold the lock that processes take while they open a file of this folder.

    The lock is the folder's own: the file itself must not be opened and closed beside SQLite, which
    would lose the locks of this process.

    Raises:
        StoreBusy: another process holds it for longer than `patience` lasts.
    """
    folder = _folder(path)
    if folder is None:
        yield
        return
    try:
        tries = 0
        while not _locked(folder):
            if not patience(tries):
                raise StoreBusy(f"another process is opening {path}")
            tries += 1
        try:
            yield
        finally:
            if fcntl is not None:
                # A process forked meanwhile has the lock, too, and would keep it.
                fcntl.flock(folder, fcntl.LOCK_UN)
    finally:
        os.close(folder)


def look_at(path: str, newest: int, *, is_suspect: bool = False) -> None:
    """Before a file is opened: set it or its log aside when they are damaged.

    Files that are open elsewhere, other programs', or written by a version beyond `newest` are left
    alone, and so is one that was closed well unless it `is_suspect`.
    """
    if _size_bytes(path) <= 0:
        # SQLite would delete the log of a file that has gone.
        if _size_bytes(f"{path}-wal") > 0:
            _set_aside(path, ("-wal", "-shm"), "it has gone, and its log is still there")
        return
    has_log, has_index = _size_bytes(f"{path}-wal") >= 0, _size_bytes(f"{path}-shm") >= 0
    if not (has_log or has_index or is_suspect):
        return
    try:
        probe = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error:
        return  # whoever opens it next is told why
    try:
        # Nothing is written: not even what is in the log, when the connection ends.
        probe.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        probe.pragma("locking_mode", "EXCLUSIVE")
        _look(probe, path, newest)
        if has_index and not has_log and not is_suspect:
            _LOGGER.error(
                "the log of %s has gone: what was written last before may be missing", path
            )
    except apsw.InterruptError:
        _LOGGER.warning(
            "%s was not closed well, and is too large to be looked at now; see afterword doctor",
            path,
        )
    except apsw.Error:
        pass  # another process has it open, and has looked, or whoever opens it next is told why
    finally:
        probe.close()


def log_bytes(path: str) -> int:
    """The size of a file's log; -1 where there is none."""
    return _size_bytes(f"{path}-wal")


def set_aside_files(path: str) -> list[str]:
    """The names of damaged files that were set aside, the oldest first."""
    folder, name = os.path.split(path)
    try:
        found = os.listdir(folder)
    except OSError:
        return []
    return sorted(
        other
        for other in found
        if other.startswith(f"{name}.damaged-")
        and (not other.endswith(("-wal", "-shm")) or other[:-4] not in found)
    )


def _look(probe: apsw.Connection, path: str, newest: int) -> None:
    is_ours = False
    try:
        is_ours = int(probe.pragma("application_id")) == APPLICATION_ID
        if not is_ours or int(probe.pragma("user_version")) > newest:
            return
        fault = _cut(path, int(probe.pragma("page_size"))) or _fault(probe)
    except _DAMAGED as error:
        if not (is_ours or _is_ours(path)):
            return
        fault = str(error)
    alone_is_whole = False
    if fault is not None or _size_bytes(f"{path}-wal") > 0:
        with _without_log(path) as bare:
            kept = None if bare is None else _identity(bare)
            if fault is None:
                if kept is None or _identity(probe) == kept:
                    return
                fault = "its log is another database's"
                alone_is_whole = True
            else:
                alone_is_whole = kept is not None and bare is not None and _is_whole(bare)
    if fault is not None:
        if alone_is_whole:
            _set_aside(path, ("-wal", "-shm"), f"its log does not fit it ({fault})")
        else:
            _set_aside(path, ("", "-wal", "-shm"), fault)


def _cut(path: str, page_bytes: int) -> str | None:
    """Whether a file ends in the middle of a page, and the log does not have that page.

    What is missing of it would be read as zeros. A page that was being put into the file when a
    process was killed is in the log, too.
    """
    number, rest = divmod(_size_bytes(path), page_bytes)
    if rest == 0:
        return None
    try:
        with open(f"{path}-wal", "rb") as log:
            head = log.read(_LOG_HEAD_BYTES)
            while len(frame := log.read(_FRAME_HEAD_BYTES)) == _FRAME_HEAD_BYTES:
                if frame[8:16] != head[16:24]:
                    break  # left over from an earlier round of the log
                if int.from_bytes(frame[:4]) == number + 1:
                    return None
                log.seek(page_bytes, os.SEEK_CUR)
    except OSError:
        pass
    return "it ends in the middle of a page"


@contextmanager
def _without_log(path: str) -> Generator[apsw.Connection | None]:
    """The file as it is without its log."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        bare = apsw.Connection(f"file:{quote(path)}?immutable=1", flags=flags)
    except apsw.Error:
        yield None
        return
    try:
        yield bare
    finally:
        bare.close()


def _is_whole(connection: apsw.Connection) -> bool:
    try:
        return _fault(connection) is None
    except _DAMAGED:
        return False


def _fault(connection: apsw.Connection) -> str | None:
    """What is wrong with a file's structure; None when nothing is.

    The order of rows and what indexes hold is looked at as far as there is time for it.

    Raises:
        apsw.InterruptError: the quick check alone takes too long.
    """
    fault = _check(connection, "PRAGMA quick_check(1)", LOOK_S)
    if fault is None:
        try:
            fault = _check(connection, "PRAGMA integrity_check(1)", LOOK_CLOSER_S)
        except apsw.InterruptError:
            pass
    return fault


def _check(connection: apsw.Connection, pragma: str, seconds: float) -> str | None:
    deadline_s = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline_s, _STEPS)
    try:
        found = connection.execute(pragma).fetchone()
    finally:
        connection.set_progress_handler(None)
    told = "" if found is None else " ".join(str(found[0]).split())
    return None if told == "ok" else told


def _identity(connection: apsw.Connection) -> str | None:
    try:
        found = connection.execute(
            "SELECT value FROM settings WHERE name = ?", (IDENTITY,)
        ).fetchone()
    except apsw.Error:
        return None
    return None if found is None else str(found[0])


def _is_ours(path: str) -> bool:
    """Whether a file that cannot be read any more says that it is one of ours."""
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    try:
        # By way of SQLite, which knows who else has the file open.
        file = apsw.VFSFile("", path, flags)
    except apsw.Error:
        return False
    try:
        return file.xRead(4, _APPLICATION_ID_AT) == APPLICATION_ID.to_bytes(4)
    except apsw.Error:
        return False
    finally:
        file.xClose()


def _set_aside(path: str, endings: tuple[str, ...], reason: str) -> None:
    """Rename a file and what belongs to it. The file first: a log left alone is found, later."""
    stem = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    target, number = stem, 1
    while any(os.path.lexists(target + ending) for ending in ("", "-wal", "-shm")):
        target, number = f"{stem}-{number}", number + 1
    for ending in endings:
        try:
            os.rename(path + ending, target + ending)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreUnavailable(
                f"{path} is damaged ({reason}), and cannot be set aside: {error}"
            ) from error
    folder = _folder(path)
    if folder is not None:
        os.fsync(folder)
        os.close(folder)
    if "" in endings:
        told = "%s is damaged (%s). All of it is kept as %s, and a new one is begun"
    else:
        told = "%s: %s. The log is kept as %s-wal, and what it held is missing"
    _LOGGER.error(told, path, reason, target)


def _folder(path: str) -> int | None:
    try:
        flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
        return os.open(os.path.dirname(path) or ".", flags)
    except OSError:
        return None


def _locked(folder: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # this file system has no such locks
    return True


def _size_bytes(path: str) -> int:
    """-1 where there is no file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
