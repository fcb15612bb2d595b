"""The garbage collector runs in the middle of anything, and finalisers of others run in it."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import asyncio, contextvars, gc
import afterword

client = afterword.configure("memory:")
others = [contextvars.ContextVar(f"other{number}") for number in range(40)]
for other in others:
    other.set(1)  # enough of them that setting one copies more than a node

seen = []

@afterword.generation
def plain(number):
    return [number]

@afterword.generation
def stream(number):
    try:
        yield number
        yield number
    finally:
        seen.append((afterword.current_data_id(), ids[number]))

def bare():
    try:
        yield
    finally:
        seen.append((afterword.current_data_id(), None))

class Circle:
    pass

ids = {}

def leave(number):
    circle = Circle()
    circle.me = circle
    circle.stream = stream(number)
    ids[number] = circle.stream.data_id
    next(circle.stream)
    circle.bare = bare()
    next(circle.bare)

async def main():
    for number in range(ROUNDS):
        leave(number)
        gc.set_threshold(gc.get_count()[0] + number % 7)
        with afterword.trail():
            plain(number)
            await asyncio.to_thread(plain, number)

asyncio.run(main())
gc.collect()
assert len(seen) == 2 * ROUNDS, len(seen)
# The collector may end a generator before what follows it: then there is no context, never another's.
assert all(found in (wanted, None) for found, wanted in seen)
assert afterword.flush(30)
print(afterword.status().captured, afterword.status().stored, afterword.status().faults)
"""


def test_finalisers_see_their_own_generation_or_none_and_the_process_survives_them() -> None:
    rounds = 2_000
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-W",
            "error",
            "-c",
            f"ROUNDS = {rounds}\n{_PROGRAM}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(3 * rounds), str(3 * rounds), "0"]
    assert not done.stderr
