"""The few things a spool does with the file system, in one place that a test can stand in for (layer 2)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Protocol

try:
    import fcntl
except ImportError:  # Windows has no such locks; there no process takes over the files of another
    fcntl = None  # type: ignore[assignment]

#: What a file is called until all of it is there.
UNFINISHED_SUFFIX = ".new"

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class SegmentFile(Protocol):
    """One open file that is only appended to, and is this process's alone while it is open."""

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end, or nothing of it.

        Raises:
            OSError: it was not written. With the attribute `is_torn`, part of it may be there.
        """
        ...

    def read(self, start: int, size_bytes: int) -> bytes: ...

    def size_bytes(self) -> int: ...

    def cut(self, size_bytes: int) -> None:
        """Take back what was appended beyond this size."""
        ...

    def sync(self) -> None:
        """Return once what was appended would outlast a power cut."""
        ...

    def close(self) -> None:
        """Let go of it. In a forked child, the lock stays the parent's."""
        ...


class Files(Protocol):
    """The folder of one spool. Every method may raise OSError."""

    def names(self) -> list[str]:
        """The names of what is there, in order."""
        ...

    def create(self, name: str) -> SegmentFile:
        """A new file, mode 0600, locked."""
        ...

    def take_over(self, name: str) -> SegmentFile | None:
        """A file whose writer is gone, locked; None when it is somebody's, or no file of ours."""
        ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, data: bytes) -> None:
        """A whole new file, synced; all of it or none."""
        ...

    def unlink(self, name: str) -> None:
        """Remove a file; it is no error when it is gone."""
        ...

    def size_bytes(self, name: str) -> int: ...

    def free_bytes(self) -> tuple[int, int]:
        """How many bytes are free on the disk, and of how many."""
        ...

    def sync_names(self) -> None:
        """Return once files made before this would be found after a power cut."""
        ...


class TornWrite(OSError):
    """Part of what was to be appended may be in the file, which must not be appended to again."""


class RealSegmentFile:
    """A `SegmentFile` of the operating system."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, view[written:])
        except OSError as error:
            if written:
                self._untear(error)
            raise
        self._size_bytes += len(data)

    def _untear(self, cause: OSError) -> None:
        try:
            os.ftruncate(self._descriptor, self._size_bytes)
        except OSError:
            raise TornWrite(cause.errno, cause.strerror) from cause

    def read(self, start: int, size_bytes: int) -> bytes:
        return os.pread(self._descriptor, size_bytes, start)

    def size_bytes(self) -> int:
        return self._size_bytes

    def cut(self, size_bytes: int) -> None:
        os.ftruncate(self._descriptor, size_bytes)
        self._size_bytes = size_bytes

    def sync(self) -> None:
        _sync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class RealFiles:
    """A folder on a disk. It must be there and be safe, which `folder.prepare` sees to."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []

    def create(self, name: str) -> SegmentFile:
        path = self._path(name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _NO_FOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            # Who takes over files may have come between, and have removed it as an empty one.
            if not (_lock(descriptor) and _is_at(descriptor, path)):
                raise FileExistsError(errno.EEXIST, "the new file was taken over", path)
        except BaseException:
            os.close(descriptor)
            raise
        return RealSegmentFile(descriptor, 0)

    def take_over(self, name: str) -> SegmentFile | None:
        if fcntl is None:
            return None
        path = self._path(name)
        try:
            # Without waiting, should somebody have put a pipe there.
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | _NO_FOLLOW)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO, errno.EISDIR):
                return None
            raise
        try:
            found = os.fstat(descriptor)
            ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
            if ours and _lock(descriptor) and _is_at(descriptor, path):
                return RealSegmentFile(descriptor, os.fstat(descriptor).st_size)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def read(self, name: str) -> bytes:
        descriptor = os.open(self._path(name), os.O_RDONLY | os.O_NONBLOCK | _NO_FOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        unfinished = f"{path}{UNFINISHED_SUFFIX}"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_FOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(unfinished, path)
        except BaseException:
            self.unlink(f"{name}{UNFINISHED_SUFFIX}")
            raise
        self.sync_names()

    def unlink(self, name: str) -> None:
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            pass

    def size_bytes(self, name: str) -> int:
        try:
            return os.lstat(self._path(name)).st_size
        except FileNotFoundError:
            return 0

    def free_bytes(self) -> tuple[int, int]:
        if not hasattr(os, "statvfs"):
            return 1 << 62, 1 << 62
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def sync_names(self) -> None:
        if os.name == "nt":
            return
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)


def _lock(descriptor: int) -> bool:
    """Lock an open file without waiting; whether it is ours now."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    """Whether this open file is what the path names."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)
