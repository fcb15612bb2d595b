"""Durable feedback a second through the helper route, on SQLite, with one uvicorn worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from socket import create_server

import afterword
from afterword.asgi.tokens import mint, random_subject
from benchmarks.http_load import Load, load, request

REQUESTS = 20_000
SECRET = "k1:0123456789abcdef0123456789abcdef"
_APP = """
import sys, uvicorn
from afterword import Client
from afterword.asgi import Limits, feedback_app
client = Client(sys.argv[1], secret=sys.argv[2])
limits = Limits(per_token=0, per_generation=0, per_address=0)
config = uvicorn.Config(feedback_app(limits=limits, client=client), access_log=False, log_level="error")
import socket
listener = socket.socket(fileno=int(sys.argv[3]))
import gc
gc.freeze()  # as `afterword serve` does, and any server should: what it imported stays
uvicorn.Server(config).run([listener])
client.close()
"""


def measured() -> Load:
    """Each request rates a generation of its own, known before."""
    folder = Path(tempfile.mkdtemp(prefix="afterword-bench-"))
    url = f"sqlite:///{folder / 'bench.db'}"
    client = afterword.Client(url, secret=SECRET)
    requests = [_rating(client, client.log(output="x")) for _ in range(REQUESTS)]
    assert client.flush(60)
    with create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        port = listener.getsockname()[1]
        command = [sys.executable, "-c", _APP, url, SECRET, str(listener.fileno())]
        server = subprocess.Popen(command, pass_fds=[listener.fileno()])
    try:
        time.sleep(2)
        found = load(port, requests)
    finally:
        server.terminate()
        server.wait(20)
    kept = client.generations(feedback={"rating": "good"}, limit=1).items
    assert kept, found
    assert found.refused == 0, found
    client.close()
    return found


def _rating(client: afterword.Client, data_id: str) -> bytes:
    token = mint(
        client.keyring(),
        client.project,
        [data_id],
        subject=random_subject(),
        bound=False,
        now_s=int(time.time()),
    )
    return request("/", json.dumps({"token": token, "type": "rating", "value": "good"}).encode())


if __name__ == "__main__":
    print(measured())
