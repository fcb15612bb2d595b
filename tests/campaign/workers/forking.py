"""Forked children that do one thing each, for drivers that start very many processes."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple


class Child(NamedTuple):
    """A child of this process, and the lines it says."""

    pid: int
    pipe: int

    def hear(self, timeout_s: float = 30.0) -> bytes:
        """What it says next; nothing when it has ended."""
        ready, _, _ = select.select([self.pipe], [], [], timeout_s)
        assert ready, f"process {self.pid} has said nothing for {timeout_s} s"
        return os.read(self.pipe, 4_096)

    def kill(self) -> None:
        """kill -9, and take note of its end."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self, timeout_s: float = 30.0) -> int:
        """Its exit code. One that does not end is killed, and that is an error."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.pipe)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline_s:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"process {self.pid} did not end")
            time.sleep(0.002)


class Parent(NamedTuple):
    """What a child may say to its parent."""

    pipe: int

    def say(self, line: str) -> None:
        os.write(self.pipe, f"{line}\n".encode())


def begin(work: Callable[..., None], *arguments: Any) -> Child:
    """Let a child call ``work(parent, *arguments)`` and end without any clean-up, 0 when that went well."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writes)
        return Child(pid, reads)
    code = 1
    try:
        os.close(reads)
        work(Parent(writes), *arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
