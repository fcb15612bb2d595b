"""A program whose spool folder is not what it should be: what `test_campaign_disk_folder` runs.

``python folder_steps.py CASE FOLDER USER``; the server's URL and so on are in the environment. It runs as that
user where it may choose, and prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import afterword
from afterword.errors import DeliveryError, StoreUnavailable
from afterword.stores import open_store

WAIT_S = 20.0


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


def main(case: str, base: str, user: str) -> None:
    # Another user may not be allowed to read this interpreter's modules, so all are imported by now.
    with contextlib.suppress(StoreUnavailable):
        open_store(os.environ["AFTERWORD_URL"]).projects()
    afterword.Client("memory:").log(inputs="q", feedback={"type": "rating", "value": "good"})
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    client = afterword.default_client()
    for number in range(30):
        assert answer(str(number)) == f"the answer to {number}"
    is_durable = client.flush(0.5)
    spool = Path(os.environ["AFTERWORD_SPOOL"])
    is_lost = False
    if case == "removed while running":
        assert is_durable
        assert [*spool.rglob("*.seg")]
        shutil.rmtree(spool)
        # What the removed file held is with the process still, which has it open; it is not safe any more.
        assert not client.flush(2.0)
        for number in range(30):
            answer(f"{number} again")
        assert not client.flush(2.0)
    try:
        given = client.feedback("d", "rating", "good", user="ann")
        is_pending = given.pending
    except DeliveryError:
        is_pending, is_lost = False, True
    found = client.status()
    kept = found.stored + found.buffered + found.spooled + found.dead_lettered + found.dropped
    assert found.captured == kept, found
    problem = client.recorder.spool.problem
    line = {
        "durable": is_durable, "pending": is_pending, "refused": is_lost, "captured": found.captured,
        "buffered": found.buffered, "spooled": found.spooled, "dropped": found.dropped,
        "problem": None if problem is None else str(problem),
        "modes": {
            str(path.relative_to(base)): oct(path.lstat().st_mode & 0o7777)
            for path in [*spool.rglob("*"), spool] if path.exists()
        },
    }  # fmt: skip
    sys.stdout.write(f"{json.dumps(line)}\n")


main(*sys.argv[1:])
