"""A program on a disk that gives out: what `test_campaign_disk_full` runs, in a world of its own.

``python disk_steps.py WORLD FOLDER CYCLES`` prints one line of JSON a cycle. Nothing that it calls may raise
but feedback and strict logging, and those only when nothing could keep what they were given.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))

from ledger import Ledger, check, held_in_sqlite  # noqa: E402
from processes import ServerProcess  # noqa: E402

import afterword  # noqa: E402
from afterword.errors import DeliveryError  # noqa: E402

WAIT_S = 30.0
RESUMES_S = 5.0
_FILL_BYTES = 65_536


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


class Program:
    """What is done on that disk, and the ledger of it, which is on another one."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "ledger")
        self.number = 0
        self.refused = 0

    def capture(self, count: int) -> None:
        for _ in range(count):
            data_id, text = f"d-{self.number}", f"{self.number} {'q' * 2_000}"
            self.number += 1
            self.ledger.attempt(data_id, {"question": text}, f"the answer to {text}")
            with afterword.trail(data_id=data_id):
                assert answer(text) == f"the answer to {text}"

    def rate(self) -> bool:
        """Give feedback; whether it was acknowledged."""
        user = f"u{self.number}"
        key = self.ledger.attempt_feedback("d-0", "rating", "good", user)
        try:
            afterword.feedback("d-0", "rating", "good", user=user)
        except DeliveryError:
            self.refused += 1
            return False
        self.ledger.acknowledge(key)
        return True


def counted() -> Any:
    """The counts, which are in step at every reading."""
    found = afterword.status()
    kept = found.stored + found.buffered + found.spooled + found.dead_lettered + found.dropped
    assert found.captured == kept, found
    return found


def settle(timeout_s: float) -> Any:
    """Wait until nothing is on its way."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = counted()
        if not (found.buffered or found.spooled):
            return found
        assert time.monotonic() < deadline_s, found
        afterword.flush(0.05)


def fill(folder: Path) -> Path:
    """Leave no byte on the disk."""
    path = folder / "filling"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for size in (_FILL_BYTES, 4_096, 512, 1):
        with contextlib.suppress(OSError):
            while True:
                os.write(descriptor, b"x" * size)
    os.close(descriptor)
    return path


@contextlib.contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    """Within a limit of the system's, as `ulimit` sets it."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def mount_tmpfs(folder: Path) -> None:
    """A small disk that only this process and its children see."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = b"size=32m,mode=700"
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, size) != 0:
        raise OSError(ctypes.get_errno(), "tmpfs cannot be mounted")


@contextlib.contextmanager
def full_disk(disk: Path) -> Iterator[None]:
    filling = fill(disk)
    yield
    filling.unlink()


@contextlib.contextmanager
def no_descriptors(disk: Path) -> Iterator[None]:
    """The app has opened all files that it may."""
    taken: list[int] = []
    with limited(resource.RLIMIT_NOFILE, 64):
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
        for descriptor in taken:
            os.close(descriptor)


def small_files(disk: Path) -> contextlib.AbstractContextManager[None]:
    """No file may grow beyond this; the ledger stays smaller. Python ignores the signal for it."""
    return limited(resource.RLIMIT_FSIZE, 150_000)


TROUBLES: dict[str, Callable[[Path], contextlib.AbstractContextManager[None]]] = {
    "full": full_disk, "small files": small_files, "no descriptors": no_descriptors,
}  # fmt: skip


def drained(disk: Path) -> None:
    """Wait until the spool is empty, and has given back the room that it took."""
    client = afterword.default_client()
    deadline_s = time.monotonic() + WAIT_S
    while counted().spooled or [*disk.rglob("*.seg")]:
        assert time.monotonic() < deadline_s, ([*disk.rglob("*.seg")], counted())
        client.recorder.sender.look_for_segments()
        client.flush(0.05)


def cycle(
    program: Program, trouble: Callable[[Path], Any], disk: Path, server: ServerProcess | None
) -> dict[str, Any]:
    """Some calls before, during and after the trouble."""
    program.capture(20)
    settle(WAIT_S)
    before = counted()
    if server is not None:
        # A local store shares the fate of the disk, a remote one has to be away for it to matter.
        server.kill()
        program.capture(20)
        assert afterword.flush(WAIT_S)
        assert counted().spooled >= 20
    with trouble(disk):
        started_s = time.process_time()
        for _ in range(20):
            program.capture(20)
            time.sleep(0.01)
        program.rate()
        spent_s = time.process_time() - started_s
        during = counted()
        if server is not None and trouble is full_disk:
            server.start()  # which is not on that disk
            drained(disk)
    if server is not None and server.process is None:
        server.start()  # which would have inherited the limits
    resumed_s = time.monotonic()
    program.capture(20)
    while not program.rate():
        assert time.monotonic() - resumed_s < RESUMES_S
    found = settle(RESUMES_S + WAIT_S)
    return {
        "kept_back": during.buffered + during.spooled, "faults": found.faults - before.faults,
        "dropped": found.dropped, "refused": program.refused, "stored": found.stored,
        "resumed_s": time.monotonic() - resumed_s, "cpu_s": spent_s,
    }  # fmt: skip


def main(trouble: str, store: str, base: str, cycles: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    folder, disk = Path(base), Path(base) / "disk"
    disk.mkdir(mode=0o700)
    is_mounted = True
    if trouble == "full":
        try:
            mount_tmpfs(disk)
        except OSError:
            # Where no disk can be mounted, files that may not grow are the next best thing.
            is_mounted, trouble = False, "small files"
    server = ServerProcess(folder)
    if store == "server":
        server.start()
    url = f"sqlite:///{disk / 'store.db'}" if store == "sqlite" else server.url
    afterword.configure(url, "p", spool=str(disk / "spool"))
    program = Program(folder)
    remote = server if store == "server" else None

    try:
        for _ in range(int(cycles)):
            line = cycle(program, TROUBLES[trouble], disk, remote)
            sys.stdout.write(f"{json.dumps({**line, 'mounted': is_mounted})}\n")
        afterword.default_client().close()
        left = [path.name for path in disk.rglob("*.seg")]
        assert not left, left
        database = disk / "store.db" if store == "sqlite" else server.database
        dropped = counted().dropped
        result = check(program.ledger.read(), held_in_sqlite(database)).require()
        gone = [key for key in result.forgone if key.startswith("generation")]
        assert len(gone) == dropped, (len(gone), dropped)
        end = {
            "attempted": result.attempted,
            "acknowledged": result.acknowledged,
            "gone": len(gone),
        }
        sys.stdout.write(f"{json.dumps(end)}\n")
    finally:
        server.stop()


main(*sys.argv[1:])
