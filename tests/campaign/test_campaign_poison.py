"""F22 and F23: records that the server refuses are set apart with the reason, and replayed once it does not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import figures
import pytest
from fault_proxy import Reply, Request
from processes import afterword
from stub_replies import refusal

from conftest import Rig

DELIVERED_S = 10.0


def refuse(rig: Rig, *names: str, status: int = 422) -> None:
    """Let the server refuse every batch with one of these in it, as it refuses what is not valid."""
    bad = {rig.data_id(name) for name in names}

    def script(request: Request) -> Reply | None:
        if not request.is_write:
            return None
        rows = request.rows
        brought = {row["id"] for row in rows.get("generations", ())}
        brought |= {row["data_id"] for row in rows.get("feedback", ())}
        return None if bad.isdisjoint(brought) else refusal(status, "inputs: no")

    rig.proxy.script = script


@pytest.mark.parametrize(
    ("bad", "status"),
    [(("a-250",), 400), (("a-0", "a-1", "a-333", "a-499"), 422), (("a-7",), 413)],
)
def test_the_others_of_a_batch_pass_within_seconds(
    rig: Rig, bad: tuple[str, ...], status: int
) -> None:
    with figures.run(f"F22 {len(bad)} of 500 refused with {status}") as run:
        refuse(rig, *bad, status=status)
        client = rig.client()
        client.ask("log", prefix="a", count=500)
        started_s = time.monotonic()
        settled = client.ask("settle", timeout_s=30)
        run.more["delivered_s"] = round(time.monotonic() - started_s, 2)
        run.more["requests"] = sum(request.is_write for request in rig.proxy.requests)
        assert run.more["delivered_s"] < DELIVERED_S
        assert settled["stored"] == 500 - len(bad)
        assert settled["dead_lettered"] == len(bad)
        assert settled["dropped"] == 0
        assert client.ask("flush", timeout_s=5)["durable"]
        client.ask("log", prefix="b", count=100)
        assert client.ask("settle", timeout_s=20)["stored"] == 600 - len(bad)
        client.ask("flush", timeout_s=5)
        client.end()
        assert run.add(rig.check(but=bad)).stored == 600 - len(bad)
        letters = sorted(client.spool.rglob("*.dead"))
        assert len(letters) == len(bad)
        assert all(b"inputs: no" in letter.read_bytes() for letter in letters)


def test_dead_letters_replayed_twice_are_stored_once(rig: Rig) -> None:
    with figures.run("F23 replayed twice, at once and after") as run:
        bad = [f"a-{number}" for number in range(0, 50, 5)]
        refuse(rig, *bad)
        client = rig.client()
        client.ask("log", prefix="a", count=50)
        assert client.ask("settle", timeout_s=30)["dead_lettered"] == len(bad)
        # Feedback that was kept while the server was away is refused when it comes there.
        rig.proxy.script = lambda request: refusal(503)
        client.ask("feedback", names=["a-0", "a-1"])
        refuse(rig, *bad)
        client.ask("flush", timeout_s=20)
        assert client.ask("settle", timeout_s=30)["dead_lettered"] == len(bad) + 1
        client.ask("flush", timeout_s=5)
        client.end()

        environment = {
            "AFTERWORD_URL": rig.proxy.url,
            "AFTERWORD_PROJECT": rig.project,
            "AFTERWORD_SPOOL": str(client.spool),
        }
        listed = afterword("dead-letters", "list", **environment)
        assert listed.returncode == 0, listed.stderr
        lines = listed.stdout.splitlines()
        assert len(lines) == len(bad) + 1
        assert all("inputs: no" in line for line in lines)
        refused = afterword("dead-letters", "replay", "--all", **environment)
        assert refused.returncode == 1
        assert "0 taken, 11 still refused" in refused.stdout

        rig.proxy.script = lambda request: None
        kept = {letter: letter.read_bytes() for letter in client.spool.rglob("*.dead")}
        assert len(kept) == len(bad) + 1
        with ThreadPoolExecutor(2) as pool:
            both = [
                pool.submit(afterword, "dead-letters", "replay", "--all", **environment)
                for _ in range(2)
            ]
        assert sum(int(done.result().stdout.split()[0]) for done in both) >= len(bad) + 1
        assert list(client.spool.rglob("*.dead")) == []
        run.more["taken"] = " and ".join(done.result().stdout.split()[0] for done in both)
        assert run.add(rig.check()).stored == 52
        # The same letters once more, as after a restored backup.
        for letter, content in kept.items():
            letter.write_bytes(content)
        again = afterword("dead-letters", "replay", "--all", **environment)
        assert (again.returncode, again.stdout) == (0, "11 taken, 0 still refused\n"), again.stderr
        assert run.add(rig.check()).stored == 52
