"""`afterword serve` and `afterword keys` as processes of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from afterword import Client

COMMAND = [sys.executable, "-c", "from afterword.cli.main import main; main()"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/served.db"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


@contextmanager
def served(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command running; gives the address it tells."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    told = re.search(r"at (http://\S+)", process.stderr.readline())
    try:
        assert told is not None
        yield told[1], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_the_server_is_open_until_the_first_key_and_closed_from_then_on(url: str) -> None:
    with served("--url", url) as (address, process):
        assert process.stderr is not None
        assert "No key is needed" in process.stderr.readline()
        assert httpx.get(f"{address}/api/v1/generations").status_code == 200
        made = run("keys", "create", "--url", url, "--project", "bot", "--scope", "ingest,read")
        assert re.fullmatch(r"awk_[0-9a-f]{12}_[\w-]{43}\n", made.stdout)
        key = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert httpx.get(f"{address}/api/v1/generations", headers=key).status_code == 200
        batch = {"generations": [{"id": "a"}]}
        posted = httpx.post(f"{address}/api/v1/generations", json=batch, headers=key)
        assert posted.json() == {"accepted": 1, "duplicates": 0}
        assert httpx.get(f"{address}/", headers={"Host": "evil.example"}).status_code == 421
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with served("--url", url) as (address, _):
        assert httpx.get(f"{address}/api/v1/generations").status_code == 401
        kept = httpx.get(f"{address}/api/v1/generations/a", headers=key)
        assert kept.json()["project"] == "bot"


def test_keys_are_listed_without_themselves_and_revoked_by_id(url: str) -> None:
    made = run("keys", "create", "--url", url, "--all-projects", "--scope", "admin").stdout.strip()
    key_id = made.split("_")[1]
    listed = run("keys", "list", "--url", url).stdout
    assert key_id in listed
    assert "(all)" in listed
    assert made[17:] not in listed
    assert run("keys", "revoke", "--url", url, key_id).returncode == 0
    assert run("keys", "revoke", "--url", url, "nothing").returncode == 1


def test_a_port_in_use_is_told_in_one_line(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = run("serve", "--url", url, "--port", port)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use" in ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_public_address_needs_a_key_first(url: str, host: str) -> None:
    ended = run("serve", "--url", url, "--host", host, "--port", "0")
    assert ended.returncode == 2
    assert "afterword keys create" in ended.stderr
    run("keys", "create", "--url", url, "--project", "bot", "--scope", "read")
    with served("--url", url, "--host", host) as (address, _):
        port = address.rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/generations").status_code == 401


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("keys", "create", "--scope", "read"), "--project or --all-projects"),
        (("keys", "create", "--project", "bot", "--scope", "root"), "unknown scope"),
        (("keys", "list", "--url", "http://127.0.0.1:1"), "where the store is"),
        (("retention",), "--keep-days or --off"),
        (("retention", "--keep-days", "3", "--url", "http://127.0.0.1:1"), "where the store is"),
        (("serve", "--host", "no.such.host.invalid"), "no address of this machine"),
        (("serve", "--url", "sqlite:////nowhere/at/all.db", "--port", "0"), "choose another store"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_how_to_mend_it(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    environment = {**os.environ, "AFTERWORD_URL": f"sqlite:///{tmp_path}/a.db"}
    ended = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=environment
    )
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_server_that_is_told_how_long_to_keep_removes_what_is_older(url: str) -> None:
    day = timedelta(days=1)
    now = datetime.now(UTC)
    client = Client(url)
    for age in (1, 5, 40, 400):
        client.log(data_id=f"day-{age}", created_at=now - age * day + day / 2)
    client.close()
    with served("--url", url, "--keep-days", "30") as (address, _):
        for _ in range(400):
            items = httpx.get(f"{address}/api/v1/generations").json()["items"]
            if len(items) == 2:
                break
            time.sleep(0.05)
    assert [item["id"] for item in items] == ["day-1", "day-5"]
    removed = run("retention", "--keep-days", "3", "--url", url)
    assert (removed.returncode, removed.stdout) == (0, "1 generations removed\n")
    assert run("retention", "--off", "--url", url).stdout == "records of any age are written\n"


def test_a_clock_that_jumped_ends_retention_with_1_and_says_how_to_go_on(url: str) -> None:
    client = Client(url)
    client.log(data_id="old", created_at=datetime.now(UTC) - timedelta(days=40))
    client.close()
    held = run("retention", "--keep-days", "30", "--url", url)
    assert held.returncode == 1
    assert "--confirm" in held.stderr
    assert held.stderr.count("\n") == 1
    removed = run("retention", "--keep-days", "30", "--confirm", "--url", url)
    assert removed.stdout == "1 generations removed\n"
