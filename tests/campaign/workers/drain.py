"""The next program with the same configuration: it delivers what the ones before have left in the spool.

``python drain.py SPOOL [SECONDS]`` prints its counts at the end, as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import afterword


def main(spool: str, seconds: str = "40") -> None:
    client = afterword.default_client()
    client.store.open()
    deadline_s = time.monotonic() + float(seconds)
    while True:
        client.recorder.sender.look_for_segments()
        found = client.status()
        kept = found.stored + found.buffered + found.spooled + found.dead_lettered + found.dropped
        assert found.captured == kept, found
        left = [*Path(spool).rglob("*.seg")]
        if not left and found.captured == kept - found.buffered - found.spooled:
            break
        assert time.monotonic() < deadline_s, (found, left)
        client.flush(0.05)
    client.close()
    counts = {name: getattr(found, name) for name in type(found).__struct_fields__}
    sys.stdout.write(f"{json.dumps(counts)}\n")


main(*sys.argv[1:])
