"""Programs whose background threads die, are interrupted or see clocks jump: see `test_campaign_process_threads`.

``python threads.py SCENARIO FOLDER COUNT``; the store and so on are in the environment. Prints one line of JSON.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))

from ledger import Ledger  # noqa: E402

import afterword  # noqa: E402
from afterword.errors import DeliveryError  # noqa: E402

WAIT_S = 20.0
ledger = Ledger(Path(sys.argv[2]) / "ledger")


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


def named(name: str) -> str:
    return f"{os.environ['AFTERWORD_PROJECT']}-{name}"


def call(name: str) -> str:
    data_id = named(name)
    key = ledger.attempt(data_id, {"question": name}, f"the answer to {name}")
    with afterword.trail(data_id=data_id):
        answer(name)
    return key


def log(name: str) -> None:
    data_id = named(name)
    ledger.attempt(data_id, name, "logged")
    afterword.log(data_id=data_id, inputs=name, output="logged")


def rate(name: str, user: str) -> None:
    key = ledger.attempt_feedback(named(name), "rating", "good", user)
    try:
        afterword.feedback(named(name), "rating", "good", user=user)
    except DeliveryError:
        return
    ledger.acknowledge(key)


def counted() -> Any:
    found = afterword.status()
    kept = found.stored + found.buffered + found.spooled + found.dead_lettered + found.dropped
    assert found.captured == kept, found
    return found


def settle() -> Any:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        found = counted()
        if not (found.buffered or found.spooled):
            return found
        assert time.monotonic() < deadline_s, found
        afterword.flush(0.1)


#: What is raised inside the threads, and what in the code of ours raises it.
DEATHS: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit("a rule that calls sys.exit"),
    "MemoryError": lambda: MemoryError("no memory is left"),
    "KeyboardInterrupt": KeyboardInterrupt,
}


def broken(
    owner: Any, name: str, make: Callable[[], BaseException], only: str
) -> Callable[[], None]:
    """Let a method raise once, on the thread of that name; gives what waits until it has."""
    method = getattr(owner, name)
    came = threading.Event()

    def break_once(*arguments: Any, **more: Any) -> Any:
        if threading.current_thread().name == only and not came.is_set():
            came.set()
            raise make()
        return method(*arguments, **more)

    setattr(owner, name, break_once)

    def await_it() -> None:
        assert came.wait(WAIT_S), name
        setattr(owner, name, method)

    return await_it


def dying(count: int) -> dict[str, Any]:
    """Each thread dies in each of its places in each way, and goes on, within a second."""
    client = afterword.default_client()
    recorder = client.recorder
    call("first")
    settle()
    places = [
        (recorder, "_await_work", "afterword"),
        (recorder, "_encode", "afterword"),
        (recorder.dispatch, "deliver", "afterword"),
        (recorder.dispatch, "reclaim", "afterword"),
        (recorder.spool, "append", "afterword"),
        (recorder.sender, "step", "afterword-sender"),
        (recorder.spool, "peek", "afterword-sender"),
        (recorder.sender, "_write", "afterword-sender"),
        (recorder.spool, "advance", "afterword-sender"),
        (recorder.sender, "_adopt", "afterword-sender"),
    ]
    longest_s, deaths = 0.0, 0
    for kind, make in DEATHS.items():
        for owner, place, thread in places:
            await_it = broken(owner, place, make, thread)
            name = f"{kind}-{place}-{deaths}"
            for number in range(3):
                call(f"{name}-{number}")
            recorder.sender.look_for_segments()
            await_it()
            started_s = time.monotonic()
            call(f"{name}-after")
            settle()
            longest_s = max(longest_s, time.monotonic() - started_s)
            rate(f"{name}-after", "ann")
            deaths += 1
    # Some of the places are gone through by adoption and appending, which say so otherwise.
    faults = settle().faults
    assert faults >= deaths // 2, (faults, deaths)
    for thread in (recorder._thread, recorder.sender.thread):
        assert thread is not None
        assert thread.is_alive()
    ledger.acknowledge_all()
    return {"deaths": deaths, "longest_s": longest_s, "faults": faults}


def reentrant(count: int) -> dict[str, Any]:
    """Signal handlers and finalisers capture and rate while our own code runs."""
    faulthandler.dump_traceback_later(WAIT_S + count, exit=True)
    client = afterword.default_client()
    call("first")
    assert client.flush(WAIT_S)
    made = {"signal": 0, "finaliser": 0, "main": 0, "statuses": 0}

    class Cyclic:
        """Something whose end captures, wherever the garbage collector finds it."""

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            if made["finaliser"] < count * 20:
                made["finaliser"] += 1
                # Before Python 3.12 a decorated call in a collection goes unrecorded, and logging does not.
                answer("finaliser")
                with afterword.trail():
                    log(f"finaliser-{made['finaliser']}")

    depth = [0]

    def handle(number: int, frame: object) -> None:
        if depth[0] == 3:
            return  # on a slow machine the next signal is always there before this one is done with
        depth[0] += 1
        try:
            handle_one()
        finally:
            depth[0] -= 1

    def handle_one() -> None:
        made["signal"] += 1
        number = made["signal"]
        call(f"signal-{number}")
        counted_inside = client.status()
        made["statuses"] += counted_inside.captured > 0
        if number % 50 == 0:
            rate("first", f"signal-{number}")

    gc.set_threshold(1)
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    until_s = time.monotonic() + count
    try:
        while time.monotonic() < until_s:
            made["main"] += 1
            Cyclic()
            call(f"main-{made['main']}")
            if made["main"] % 20 == 0:
                rate("first", f"main-{made['main']}")
            if made["main"] % 50 == 0:
                client.flush(0.05)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.set_threshold(700)
    gc.collect()
    found = settle()
    assert found.dropped == 0, found
    ledger.acknowledge_all()
    faulthandler.cancel_dump_traceback_later()
    return made


def clocks(count: int) -> dict[str, Any]:
    """The wall clock jumps: back an hour, ten years on, to 1970; durations and IDs do not mind."""
    real_time, real_time_ns = time.time, time.time_ns
    shift_s = [0.0]
    time.time = lambda: real_time() + shift_s[0]
    time.time_ns = lambda: real_time_ns() + int(shift_s[0] * 1e9)
    jumps = {
        "none": 0.0, "back an hour": -3_600.0, "ten years on": 315_576_000.0, "1970": -real_time(),
        "leap smear": -0.5, "and back": 0.0,
    }  # fmt: skip
    client = afterword.default_client()
    seen: list[str] = []
    for name, jump in jumps.items():
        shift_s[0] = jump
        for number in range(count):
            value = answer.logged(f"{name} {number}")
            key = ledger.attempt(
                value.data_id, {"question": f"{name} {number}"}, f"the answer to {name} {number}"
            )
            seen.append(value.data_id)
            if number % 10 == 0:
                given = client.feedback(value.data_id, "rating", "good", user="ann")
                key = ledger.attempt_feedback(value.data_id, "rating", "good", "ann")
                ledger.acknowledge(key)
                assert given.value == "good"
        started_s = time.monotonic()
        assert client.flush(WAIT_S)
        assert time.monotonic() - started_s < WAIT_S
        settle()
    assert len({*seen}) == len(seen)
    assert seen == sorted(seen), "the IDs of one process are in the order of its calls"
    for data_id in seen[:: max(count // 5, 1)]:
        found = client.get(data_id)
        assert found is not None
        assert found.duration_ms is not None
        assert 0 <= found.duration_ms < 60_000
    ledger.acknowledge_all()
    return {"ids": len(seen)}


SCENARIOS: dict[str, Callable[[int], dict[str, Any]]] = {
    "dying": dying, "reentrant": reentrant, "clocks": clocks,
}  # fmt: skip

if __name__ == "__main__":
    line = SCENARIOS[sys.argv[1]](int(sys.argv[3]))
    sys.stdout.write(f"{json.dumps(line)}\n")
