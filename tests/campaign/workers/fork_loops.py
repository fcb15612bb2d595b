"""Programs that fork, each in its own way: what `test_campaign_process_fork` runs.

``python fork_loops.py SCENARIO FOLDER COUNT``; the store's URL and so on are in the environment. Prints one
line of JSON.
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))

from forking import Parent, begin  # noqa: E402
from ledger import Ledger  # noqa: E402

import afterword  # noqa: E402
import afterword.stores.http  # noqa: E402 - so that not every child has to import it
from afterword import default  # noqa: E402
from afterword.stores import sqlite_forks  # noqa: E402

#: A child that a fork has stopped from going on is found out after so long.
HANG_S = 10.0
RECORDS = 20
_FOLDER = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


def ledger() -> Ledger:
    return Ledger(_FOLDER / "ledger")


def named(name: str) -> str:
    """The data ID of this name: projects on one server share none, or feedback could go astray."""
    return f"{os.environ['AFTERWORD_PROJECT']}-{name}"


def call(known: Ledger, name: str) -> str:
    """Call a decorated function; gives the key of its record."""
    name = named(name)
    key = known.attempt(name, {"question": name}, f"the answer to {name}")
    with afterword.trail(data_id=name):
        answer(name)
    return key


def rate(known: Ledger, name: str, user: str) -> None:
    name = named(name)
    key = known.attempt_feedback(name, "rating", "good", user)
    afterword.feedback(name, "rating", "good", user=user)
    known.acknowledge(key)


def child_work(parent: Parent | None, name: str, how: str) -> None:
    """What a forked child does; nothing of its parent's is its to deliver."""
    faulthandler.dump_traceback_later(HANG_S * 0.8)
    known = ledger()
    keys = [call(known, f"{name}-{number}") for number in range(RECORDS)]
    rate(known, f"{name}-0", name)
    # Counted apart from what children that ended before have left to be adopted.
    counts = afterword.default_client().recorder.dispatch.counts
    own = counts.own_done + counts.own_spooled
    assert own <= RECORDS + 1, ("the parent's records are not the child's", own)
    if how == "flush":
        assert afterword.flush(HANG_S)
    known.acknowledge(*keys)
    # It ends by os._exit, as children of RQ and Celery do.


def while_writing(count: int) -> dict[str, Any]:
    """Fork while the parent's threads write, from the main thread and from another."""
    over = threading.Event()
    known = ledger()
    afterword.default_client()  # a fork amid another thread's import is Python's own affair

    def write(who: int) -> None:
        number = 0
        while not over.wait(0.0005):
            call(known, f"parent-{who}-{number}")
            number += 1

    threads = [threading.Thread(target=write, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    codes: list[int] = []

    def fork(number: int) -> None:
        codes.append(begin(child_work, f"child-{number}", "flush").wait(HANG_S))

    try:
        for number in range(count):
            if number % 2:
                fork(number)
            else:
                forker = threading.Thread(target=fork, args=(number,))
                forker.start()
                forker.join()
    finally:
        over.set()
    for thread in threads:
        thread.join()
    assert afterword.flush(HANG_S)
    known.acknowledge_all()
    status = afterword.status()
    assert status.captured == status.stored + status.spooled, status
    return {"codes": codes}


def in_locks(count: int) -> dict[str, Any]:
    """Fork while each lock that the recorder has is held by another thread."""
    client = afterword.default_client()
    call(ledger(), "first")
    assert client.flush(HANG_S)
    locks: dict[str, Any] = {
        "default": default._default_lock,
        "counts": client.recorder.dispatch.counts._lock,
        "spool": client.recorder.spool._lock,
        "thread": client.recorder._thread_lock,
        "sender": client.recorder.sender._thread_lock,
        "store": client.store._lock,  # type: ignore[attr-defined]
        "SQLite": None,
    }
    codes = []
    for number in range(count):
        name, lock = [*locks.items()][number % len(locks)]
        if name == "SQLite":
            lock = sqlite_forks.GATE.inside()
        held, done = threading.Event(), threading.Event()

        def hold(
            lock: Any = lock, held: threading.Event = held, done: threading.Event = done
        ) -> None:
            with lock:
                held.set()
                done.wait(HANG_S)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(HANG_S)
        child = begin(child_work, f"{name}-{number}", "flush")
        try:
            codes.append(child.wait(HANG_S))
        finally:
            done.set()
            holder.join()
    assert client.flush(HANG_S)
    ledger().acknowledge_all()
    return {"codes": codes}


def short_lives(count: int) -> dict[str, Any]:
    """Children that end by os._exit right after their records, with or without a flush."""
    how = "flush" if os.environ.get("AFTERWORD_DURABILITY") != "strict" else ""
    afterword.default_client()
    codes = [begin(child_work, f"child-{number}", how).wait(HANG_S) for number in range(count)]
    return {"codes": codes}


def unflushed(count: int) -> dict[str, Any]:
    """Children that end by os._exit at once, in normal durability and without a flush."""
    codes = [begin(leave_at_once, f"child-{number}").wait(HANG_S) for number in range(count)]
    return {"codes": codes}


def leave_at_once(parent: Parent, name: str) -> None:
    call(ledger(), name)


def pool_work(name: str) -> int:
    """What a worker of a pool does; its end is its pool's affair."""
    known = ledger()
    keys = [call(known, f"{name}-{number}") for number in range(RECORDS)]
    rate(known, f"{name}-0", name)
    if os.environ.get("AFTERWORD_DURABILITY") == "strict":
        known.acknowledge(*keys)
    return os.getpid()


def process_work(name: str) -> None:
    """What a process of multiprocessing does. It comes to its end, which flushes."""
    known = ledger()
    keys = [call(known, f"{name}-{number}") for number in range(RECORDS)]
    rate(known, f"{name}-0", name)
    known.acknowledge(*keys)


def in_processes(method: str, count: int) -> dict[str, Any]:
    context = multiprocessing.get_context(method)
    call(ledger(), "parent")  # so that there are a recorder, a thread and a connection to inherit
    processes = [
        context.Process(target=process_work, args=(f"process-{number}",)) for number in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        pids = set(pool.map(pool_work, [f"pool-{number}" for number in range(count)]))
    assert afterword.flush(HANG_S)
    ledger().acknowledge_all()  # the pool is over as well, and its workers came to their ends
    return {"codes": [process.exitcode for process in processes], "pids": len(pids)}


def fork(count: int) -> dict[str, Any]:
    return in_processes("fork", count)


def spawn(count: int) -> dict[str, Any]:
    return in_processes("spawn", count)


def forkserver(count: int) -> dict[str, Any]:
    return in_processes("forkserver", count)


SCENARIOS: dict[str, Callable[[int], dict[str, Any]]] = {
    "while_writing": while_writing, "in_locks": in_locks, "short_lives": short_lives,
    "unflushed": unflushed, "fork": fork, "spawn": spawn, "forkserver": forkserver,
}  # fmt: skip

if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(SCENARIOS[sys.argv[1]](int(sys.argv[3])))}\n")
