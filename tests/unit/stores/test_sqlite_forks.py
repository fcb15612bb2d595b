"""The gate before SQLite: nobody is in while a process forks, and nobody waits for a lock without a fork."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue
from types import FrameType

import pytest
from alarms import alarms

from afterword.stores.sqlite_forks import Gate

WAIT_S = 20.0


def test_a_fork_waits_for_those_inside_and_keeps_others_out() -> None:
    gate = Gate()
    steps: SimpleQueue[str] = SimpleQueue()
    is_in, may_leave, is_closed = threading.Event(), threading.Event(), threading.Event()

    def stay() -> None:
        with gate.inside():
            is_in.set()
            assert may_leave.wait(WAIT_S)
            steps.put("out")

    def fork() -> None:
        gate.close()
        steps.put("closed")
        is_closed.set()
        gate.open()

    def late() -> None:
        assert is_closed.wait(WAIT_S)
        with gate.inside():
            steps.put("in")

    threads = [threading.Thread(target=act) for act in (stay, fork, late)]
    threads[0].start()
    assert is_in.wait(WAIT_S)
    threads[1].start()
    threads[2].start()
    may_leave.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert [steps.get(timeout=WAIT_S) for _ in range(3)] == ["out", "closed", "in"]


def test_many_in_and_out_never_meet_a_fork() -> None:
    gate = Gate()
    forking, met = threading.Event(), threading.Event()
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            with gate.inside(), gate.inside():
                if forking.is_set():
                    met.set()

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for _ in range(300):
        gate.close()
        forking.set()
        forking.clear()
        gate.open()
    over.set()
    for visitor in visitors:
        visitor.join(WAIT_S)
    assert not met.is_set()


def test_whoever_forks_inside_does_not_wait_for_itself() -> None:
    gate = Gate()
    with gate.inside():
        gate.close()
        gate.open()
        with gate.outside():
            gate.close()
            gate.open()
    assert not gate._inside


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_a_signal_handler_may_wait_for_a_thread_that_goes_in() -> None:
    gate = Gate()
    asked: SimpleQueue[threading.Lock | None] = SimpleQueue()

    def serve() -> None:
        while (latch := asked.get(timeout=WAIT_S)) is not None:
            with gate.inside():
                latch.release()

    served = depth = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal served, depth
        if depth < 2:
            depth += 1
            latch = threading.Lock()
            latch.acquire()
            asked.put(latch)
            assert latch.acquire(timeout=WAIT_S)
            with gate.inside():
                served += 1
            depth -= 1

    server = threading.Thread(target=serve)
    server.start()
    try:
        with alarms(handle):
            while served < 500:
                with gate.inside():
                    pass
    finally:
        asked.put(None)
        server.join(WAIT_S)
    assert not gate._inside
