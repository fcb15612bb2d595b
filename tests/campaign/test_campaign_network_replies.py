"""F19 and F20: answers that acknowledge nothing, and answers that get lost."""

from __future__ import annotations

from functools import partial

import figures
from fault_proxy import FaultProxy, Request, Toxics
from stub_replies import (
    bomb,
    captive_portal,
    endless,
    no_content,
    redirect,
    refusal,
    reply,
)

from conftest import Rig, Together

#: What is read of an answer that is not the server's own, and what the system holds on top of it.
ANSWER_BYTES = 65_536
BUFFERED_BYTES = 8_000_000

NOT_ACKNOWLEDGED = {
    "401": lambda: refusal(401, "The API key is not valid."),
    "403": lambda: refusal(403, "This key lacks the scope ingest."),
    "403 of a proxy": lambda: reply(403, b"<html>", "text/html"),
    "captive portal": captive_portal,
    "204": no_content,
    "gzip bomb": bomb,
    "endless page": lambda: endless("text/html"),
    "404": lambda: refusal(404, "Not Found"),
    **{str(status): partial(refusal, status) for status in (405, 408, 421, 425, 429, 500, 504)},
}


def test_what_is_no_acknowledgement_leaves_the_records_in_the_spool(rig: Rig) -> None:
    with figures.run("F19 not acknowledged", answers=len(NOT_ACKNOWLEDGED)) as run:
        client = rig.client()
        total = 0
        for name, make in NOT_ACKNOWLEDGED.items():
            made = make()
            rig.proxy.script = lambda request, made=made: made
            asked, sent_bytes = len(rig.proxy.requests), rig.proxy.sent_bytes
            client.ask("log", prefix=name.replace(" ", "-"), count=25)
            total += 25
            client.ask("flush", timeout_s=5)
            rig.proxy.await_requests(asked + 1)
            found = client.ask("status")
            assert (found["stored"], found["dead_lettered"]) == (0, 0), name
            assert found["spooled"] + found["buffered"] == total, name
            assert rig.proxy.sent_bytes - sent_bytes < 4 * BUFFERED_BYTES, name
        rig.proxy.script = lambda request: None
        assert client.ask("deliver", timeout_s=20)["stored"] == total
        client.end()
        # A key that is refused is told of, since only a person can mend that.
        assert "StoreRefused" in client.told
        assert run.add(rig.check()).forgone == ()


def be_sent_elsewhere(rig: Rig, status: str) -> None:
    with FaultProxy(rig.server.url) as elsewhere, figures.run(f"F19 redirect {status}") as run:
        target = f"{elsewhere.url}/api/v1/store/write"
        rig.proxy.script = lambda request: redirect(int(status), target)
        client = rig.client(AFTERWORD_API_KEY="awk_canary")
        client.ask("log", prefix="a", count=10)
        (first, *_) = rig.proxy.await_requests(1)
        assert first.headers["authorization"] == "Bearer awk_canary"
        assert client.ask("flush", timeout_s=5)["durable"]
        assert client.ask("status")["spooled"] == 10
        client.end()
        assert (elsewhere.connections, elsewhere.requests) == (0, [])
        assert "canary" not in client.told
        run.loops += 1


def test_no_record_and_no_key_follows_a_redirect(together: Together) -> None:
    together(["301", "302", "303", "307", "308"], be_sent_elsewhere)


def test_a_batch_that_is_too_large_is_halved_until_it_is_not(rig: Rig) -> None:
    def script(request: Request) -> object:
        return refusal(413, "too large") if len(request.data_ids) > 60 else None

    with figures.run("F19 413") as run:
        rig.proxy.script = script
        client = rig.client()
        client.ask("log", prefix="a", count=500)
        assert client.ask("settle", timeout_s=20)["stored"] == 500
        client.ask("flush", timeout_s=5)
        client.end()
        sizes = [len(request.data_ids) for request in rig.proxy.requests if request.is_write]
        taken = [size for size in sizes if size <= 60]
        assert sum(taken) == 500
        run.more["requests"] = len(sizes)
        assert run.add(rig.check()).forgone == ()


def test_what_was_taken_and_not_confirmed_is_the_same_row_when_it_comes_again(rig: Rig) -> None:
    with figures.run("F20 reply lost after the commit") as run:
        rig.proxy.toxics = Toxics(drop_reply=3)
        client = rig.client()
        client.ask("log", prefix="a", count=1_000)
        said = client.ask("feedback", names=[f"a-{number}" for number in range(100)])
        assert said["seconds"] < 30
        assert client.ask("deliver", timeout_s=30)["stored"] >= 1_000
        client.end()
        assert rig.proxy.toxics.drop_reply == 0
        writes = [request.data_ids for request in rig.proxy.requests if request.is_write]
        assert sum(map(len, writes)) > 1_000
        run.more["sent"] = sum(map(len, writes))
        result = run.add(rig.check())
        assert (result.stored, result.forgone) == (1_100, ())
