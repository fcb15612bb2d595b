"""Programs that come to their end in different ways: what `test_campaign_process_exit` runs.

``python exits.py HOW FOLDER RECORDS``; the store and so on are in the environment. The line ``captured`` on
standard output says that the end is near; ``over`` and a time say when the program itself was over.
"""

from __future__ import annotations

import asyncio
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

WAIT_S = 30.0
ledger = Ledger(Path(sys.argv[2]) / "ledger")


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


def named(number: int) -> str:
    return f"{os.environ['AFTERWORD_PROJECT']}-{number}"


def capture(records: int) -> None:
    keys: list[str] = []
    for number in range(records):
        data_id, text = named(number), f"{number} {'q' * 300}"
        keys.append(ledger.attempt(data_id, {"question": text}, f"the answer to {text}"))
        with afterword.trail(data_id=data_id):
            answer(text)
        if os.environ.get("AFTERWORD_DURABILITY") == "strict":
            ledger.acknowledge(keys[-1])


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def returns() -> None:
    pass


def sys_exit() -> None:
    sys.exit(3)


def raises() -> None:
    raise RuntimeError("the program's own")


def os_exit() -> None:
    os._exit(4)


def waits() -> None:
    """For a signal of the parent."""
    time.sleep(WAIT_S)


def daemon_mid_call() -> None:
    """End while a daemon thread is in the middle of a decorated call."""
    inside = threading.Event()

    @afterword.generation(name="slow")
    def slow() -> None:
        inside.set()
        time.sleep(WAIT_S)

    threading.Thread(target=slow, daemon=True).start()
    assert inside.wait(WAIT_S)


def asyncio_cancelled() -> None:
    """End of `asyncio.run` with a task in the middle of a decorated call."""

    @afterword.generation(name="slow")
    async def slow() -> None:
        await asyncio.sleep(WAIT_S)

    async def main() -> None:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(main())


def restarts() -> None:
    """As a notebook's kernel does: the program is replaced by another in the same process."""
    os.execv(sys.executable, [sys.executable, "-c", "pass"])


def mid_retry() -> None:
    """End while the sender sleeps between two tries."""
    client = afterword.default_client()
    deadline_s = time.monotonic() + WAIT_S
    while client.recorder.dispatch.retries.left_s() <= 0:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


ENDS: dict[str, Callable[[], Any]] = {
    "return": returns, "sys.exit": sys_exit, "exception": raises, "os._exit": os_exit,
    "SIGINT": waits, "SIGTERM": waits, "SIGKILL": waits, "daemon thread": daemon_mid_call,
    "asyncio": asyncio_cancelled, "exec": restarts, "mid retry": mid_retry,
}  # fmt: skip

if __name__ == "__main__":
    # A shell may have started this one with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    capture(int(sys.argv[3]))
    say("captured")
    end = ENDS[sys.argv[1]]
    if end is not waits:
        say(f"over {time.monotonic_ns()}")
    end()
