"""Programs that are killed while they capture and rate, over and over: what `test_campaign_process_kill` runs.

``python kill_loops.py FOLDER STORE DURABILITY LOOPS SEED`` prints one line of JSON a loop. The programs
are forked from this process, which imports the library and never uses it, so that a loop costs no start
of an interpreter.
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

sys.path.append(str(Path(__file__).parent.parent))

from forking import Child, Parent, begin  # noqa: E402
from ledger import Held, Ledger, check, generation_key, held_in_sqlite, read  # noqa: E402
from processes import ServerProcess  # noqa: E402

import afterword  # noqa: E402
import afterword.stores.http  # noqa: E402 - so that not every child has to import it
import afterword.stores.sqlite  # noqa: E402
from afterword import Client  # noqa: E402

WAIT_S = 40.0
PAUSE_S = 0.0005


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


@dataclass(frozen=True)
class Place:
    """What one loop's programs share."""

    folder: Path
    url: str
    project: str
    durability: str
    rates: bool

    def configure(self) -> Client:
        spool = str(self.folder / "spool")
        return afterword.configure(self.url, self.project, spool=spool, durability=self.durability)

    def data_id(self, number: int) -> str:
        """As a data ID that was minted looks; one that does not might be an alias."""
        return f"0199c000-{int(self.project[4:]):04x}-7000-8000-{number:012x}"


def capture(parent: Parent, place: Place) -> None:
    """Capture and rate until killed. When each call returned is in the file `times`."""
    client = place.configure()
    ledger = Ledger(place.folder / "ledger")
    times = os.open(place.folder / "times", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def rate() -> None:
        number = 0
        while True:
            data_id, user = place.data_id(number % 50), f"u{number}"
            key = ledger.attempt_feedback(data_id, "rating", "good", user)
            client.feedback(data_id, "rating", "good", user=user)
            ledger.acknowledge(key)
            number += 1

    # Feedback hurries the recorder, so half of the programs give none.
    if place.rates:
        threading.Thread(target=rate, daemon=True).start()
    number = 0
    while True:
        data_id, text = place.data_id(number), f"{number} {'q' * (number % 700)}"
        if number % 2:
            key = ledger.attempt(data_id, {"question": text}, f"the answer to {text}")
            with afterword.trail(data_id=data_id):
                answer(text)
        else:
            key = ledger.attempt(data_id, text, number)
            afterword.log(data_id=data_id, inputs=text, output=number)
        if client.is_strict:
            ledger.acknowledge(key)
        os.write(times, f"{number} {time.monotonic_ns()}\n".encode())
        if number == 0:
            parent.say("capturing")
        number += 1
        time.sleep(PAUSE_S)


def drain(parent: Parent, place: Place) -> None:
    """Start again, and wait until the store has all that the killed program has left."""
    client = place.configure()
    client.store.open()
    deadline_s = time.monotonic() + WAIT_S
    while True:
        client.recorder.sender.wake()
        found = client.status()
        left = [*place.folder.rglob("*.seg")]
        kept = found.stored + found.buffered + found.spooled + found.dead_lettered + found.dropped
        assert found.captured == kept, found
        if not left and found.stored == found.captured:
            break
        assert time.monotonic() < deadline_s, (found, left)
        client.flush(0.2)
    assert (found.dropped, found.dead_lettered) == (0, 0), found
    assert not [*place.folder.rglob("*.damaged")]
    client.close()


def hold(parent: Parent, path: Path) -> None:
    """Keep a database locked until killed."""
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN EXCLUSIVE")
    parent.say("locked")
    time.sleep(WAIT_S)


def create(parent: Parent, place: Place) -> None:
    client = place.configure()
    client.store.open()
    client.close()


def kill(place: Place, after_s: float) -> int:
    """Let a program capture for so long; when it was killed, in ns of the monotonic clock."""
    child = begin(capture, place)
    assert child.hear(), "it did not begin"
    time.sleep(after_s)
    at_ns = time.monotonic_ns()
    child.kill()
    return at_ns


def compare(place: Place, held: Held, at_ns: int) -> dict[str, Any]:
    """The ledger against the store, and how old what was lost without a promise was."""
    result = check(read(place.folder / "ledger"), held).require(place)
    text = (place.folder / "times").read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    returned = [int(line.split()[1]) for line in lines]
    kept = {key for key, _ in held.rows}
    is_kept = [generation_key(place.data_id(number)) in kept for number in range(len(returned))]
    first_gone = is_kept.index(False) if False in is_kept else len(is_kept)
    assert not any(is_kept[first_gone:]), "something older is gone, something newer is not"
    gone = returned[first_gone:]
    return {
        "attempted": result.attempted,
        "acknowledged": result.acknowledged,
        "stored": result.stored,
        "gone": len(gone),
        "gone_ms": (at_ns - gone[0]) / 1e6 if gone else 0.0,
        "feedback": sum(key.startswith("feedback") for key in kept),
        "spooled_bytes": sum(path.stat().st_size for path in place.folder.rglob("*.seg")),
    }


def begin_again(place: Place) -> None:
    assert begin(drain, place).wait(WAIT_S + 10) == 0


def on_sqlite(places: list[Place], draw: random.Random, locked: bool) -> None:
    for place in places:
        path = place.folder / "store.db"
        holder: Child | None = None
        if locked:
            assert begin(create, place).wait() == 0
            holder = begin(hold, path)
            assert holder.hear()
        at_ns = kill(place, draw.uniform(0.02, 0.4))
        if holder is not None:
            holder.kill()
        begin_again(place)
        tell(compare(place, held_in_sqlite(path), at_ns))


def on_server(folder: Path, places: list[Place], draw: random.Random, port: int, up: bool) -> None:
    server = ServerProcess(folder, "--port", str(port))
    if up:
        server.start()
    try:
        at_ns = [kill(place, draw.uniform(0.02, 0.4)) for place in places]
        if not up:
            server.start()
        for place, at in zip(places, at_ns, strict=True):
            begin_again(place)
            tell(compare(place, held_in_sqlite(server.database, place.project), at))
    finally:
        server.stop()


def tell(line: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


def main(base: str, store: str, durability: str, loops: str, seed: str) -> None:
    draw = random.Random(int(seed))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    places: list[Place] = []
    for number in range(int(loops)):
        folder = Path(base) / str(number)
        folder.mkdir()
        local = f"sqlite:///{folder / 'store.db'}"
        url = f"http://127.0.0.1:{port}" if store.startswith("server") else local
        places.append(Place(folder, url, f"loop{number}", durability, number % 2 == 0))
    if store.startswith("server"):
        on_server(Path(base), places, draw, port, up=store == "server up")
    else:
        on_sqlite(places, draw, locked=store == "sqlite locked")


main(*sys.argv[1:])
