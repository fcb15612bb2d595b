"""The files of a spool: whole or not at all, one writer each, and nobody else's."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from afterword.delivery.files import RealFiles, RealSegmentFile, TornWrite


@pytest.fixture
def files(tmp_path: Path) -> RealFiles:
    return RealFiles(str(tmp_path))


def test_a_file_is_its_owner_s_alone_and_is_appended_to(files: RealFiles, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = files.create("a.seg")
    finally:
        os.umask(before)
    file.append(b"one ")
    file.append(b"two")
    file.sync()
    assert stat.S_IMODE((tmp_path / "a.seg").stat().st_mode) == 0o600
    assert (tmp_path / "a.seg").read_bytes() == b"one two"
    assert (file.size_bytes(), file.read(4, 100)) == (7, b"two")
    file.cut(3)
    file.append(b"!")
    assert (tmp_path / "a.seg").read_bytes() == b"one!"
    file.close()


def test_a_name_is_made_once(files: RealFiles) -> None:
    file = files.create("a.seg")
    with pytest.raises(FileExistsError):
        files.create("a.seg")
    file.close()


def test_a_file_is_taken_over_once_its_writer_is_gone(files: RealFiles) -> None:
    file = files.create("a.seg")
    file.append(b"left")
    assert files.take_over("a.seg") is None
    file.close()
    taken = files.take_over("a.seg")
    assert taken is not None
    assert (taken.size_bytes(), taken.read(0, 9)) == (4, b"left")
    assert files.take_over("a.seg") is None
    taken.close()


def test_the_file_of_a_process_that_was_killed_is_taken_over(files: RealFiles) -> None:
    program = (
        "import sys; from afterword.delivery.files import RealFiles\n"
        "file = RealFiles(sys.argv[1]).create('a.seg'); file.append(b'left')\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, files.folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert files.take_over("a.seg") is None
        process.kill()
    taken = files.take_over("a.seg")
    assert taken is not None
    assert taken.read(0, 9) == b"left"
    taken.close()


def make_link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(b"elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_nothing(path: Path) -> None: ...


@pytest.mark.parametrize("make", [make_link, make_pipe, make_folder, make_nothing])
def test_what_is_no_file_of_ours_is_not_taken_over(
    files: RealFiles, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "a.seg")
    assert files.take_over("a.seg") is None


def test_a_link_in_the_place_of_a_new_file_is_not_followed(
    files: RealFiles, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"elsewhere")
    for name in ("a.seg", "a.dead.new"):
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        files.create("a.seg")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        files.write("a.dead", b"x")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        files.read("a.seg")
    assert (tmp_path / "elsewhere").read_bytes() == b"elsewhere"


def test_a_whole_file_is_there_or_nothing_of_it(
    files: RealFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write("a.dead", b"first")
    files.write("a.dead", b"second")
    assert (files.read("a.dead"), files.names()) == (b"second", ["a.dead"])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        files.write("b.dead", b"third")
    assert files.names() == ["a.dead"]
    (tmp_path / "a.dead").unlink()


def a_full_disk(tmp_path: Path, size_bytes: int) -> RealSegmentFile:
    """A file that takes this much and then fails, as the system's limit on sizes makes one."""
    descriptor = os.open(tmp_path / "full.seg", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    class Full(RealSegmentFile):
        def append(self, data: bytes) -> None:
            with limited(size_bytes):
                super().append(data)

    return Full(descriptor, 0)


@contextmanager
def limited(size_bytes: int) -> Iterator[None]:
    """Files of this process may be so large, until the block is over."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    file = a_full_disk(tmp_path, 10)
    file.append(b"12345678")
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        file.append(b"abcdef")
    assert (tmp_path / "full.seg").read_bytes() == b"12345678"
    assert file.size_bytes() == 8
    file.append(b"9")
    assert (tmp_path / "full.seg").read_bytes() == b"123456789"
    file.close()


def test_a_write_that_cannot_be_taken_back_is_told_as_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_full_disk(tmp_path, 10)

    def fails(descriptor: int, size_bytes: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "ftruncate", fails)
    with pytest.raises(TornWrite):
        file.append(b"0123456789abcdef")
    file.close()


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    files = RealFiles(str(tmp_path / "nowhere"))
    assert files.names() == []
    assert files.size_bytes("a.seg") == 0
    files.unlink("a.seg")
    with pytest.raises(FileNotFoundError):
        files.create("a.seg")
