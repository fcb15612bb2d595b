"""F13 to F17: servers that fail, are busy, trickle, hang up or cannot be reached, met by whole programs."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import figures
import pytest
from fault_proxy import FaultProxy, Reply, Request, Toxics
from processes import ClientProcess
from stub_replies import acknowledgement, http_date, refusal, trickle

from conftest import Rig, Together

EXIT_S = 2.25
CALLER_US = 10_000
#: A second until it is clear that the store does not answer, and some more on a busy machine.
FEEDBACK_S = 1.75


def is_write(request: Request) -> bool:
    return request.is_write


def fail_for(rig: Rig, seconds: float, calls: int) -> None:
    """Let the server fail for so long under a program that logs and rates, then be well again."""
    statuses = (500, 502, 503)
    client = rig.client()
    client.ask("log", prefix="before", count=100)
    assert client.ask("flush", timeout_s=20)["durable"]
    rig.proxy.script = lambda request: refusal(statuses[len(rig.proxy.requests) % 3])
    until_s = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until_s:
        said = client.ask("log", prefix=f"during-{number}", count=calls)
        assert said["p50_us"] < CALLER_US
        client.ask("feedback", names=[f"during-{number}-0", "before-0"], user=f"u{number}")
        client.ask("settle", timeout_s=0.3)
        number += 1
    assert client.ask("flush", timeout_s=20)["durable"]
    away = client.ask("status")
    assert away["spooled"] >= number * calls
    assert away["stored"] == 100
    rig.proxy.script = lambda request: None
    assert len(rig.proxy.requests) > 3
    client.ask("log", prefix="after", count=100)
    if seconds < 10:
        client.ask("deliver", timeout_s=20)  # which tries at once; the long run waits its turn
    settled = client.ask("settle", timeout_s=90)
    assert (settled["spooled"], settled["dropped"], settled["dead_lettered"]) == (0, 0, 0)
    assert client.end() < EXIT_S


@pytest.mark.parametrize(
    ("seconds", "calls"), [(2.0, 100), pytest.param(60.0, 500, marks=pytest.mark.long)]
)
def test_what_comes_while_the_server_fails_is_delivered_later_and_once(
    rig: Rig, seconds: float, calls: int
) -> None:
    with figures.run("F13 server answers 500, 502, 503", seconds_away=seconds) as run:
        fail_for(rig, seconds, calls)
        result = run.add(rig.check())
        assert (result.forgone, result.acknowledged) == ((), result.attempted)


#: What a server says, and between which seconds the next request may come.
RETRY_AFTER = {
    "2": (2.0, 2.5),
    "date": (0.9, 2.5),
    "-5": (0.0, 0.5),
    "1000000000": (2.0, float("inf")),
    "soon": (0.0, 0.5),
}
_SLACK_S = 0.25


def be_told_to_wait(rig: Rig, told: str) -> None:
    least_s, most_s = RETRY_AFTER[told]

    def script(request: Request) -> Reply | None:
        is_first = sum(map(is_write, rig.proxy.requests)) == 1
        said = http_date(2.0) if told == "date" else told
        return refusal(429, Retry_After=said) if is_first else None

    client = rig.client()
    rig.proxy.script = script
    with figures.run(f"F14 Retry-After: {told}") as run:
        client.ask("log", prefix="a", count=10)
        settled = client.ask("settle", timeout_s=least_s if most_s > 100 else 20)
        writes = [found.at_s for found in rig.proxy.requests if found.is_write]
        if most_s > 100:
            assert len(writes) == 1
            assert settled["spooled"] == 10
        else:
            assert settled["stored"] == 10
            run.more["waited_s"] = round(writes[1] - writes[0], 2)
            assert least_s <= writes[1] - writes[0] <= most_s + _SLACK_S
            run.add(rig.check())
        assert client.end() < EXIT_S


def test_a_server_that_is_busy_is_left_alone_for_as_long_as_it_says(together: Together) -> None:
    together(RETRY_AFTER, be_told_to_wait)


def test_a_server_that_trickles_holds_up_nobody_and_no_exit(rig: Rig) -> None:
    with figures.run("F15 one byte a second") as run:
        client = rig.client()
        rig.proxy.script = lambda request: trickle()
        assert client.ask("log", prefix="a", count=200)["p50_us"] < CALLER_US
        rig.proxy.await_requests(1, is_write)
        said = client.ask("feedback", names=["a-0", "a-1"])
        assert said["pending"] == 2
        assert said["most_s"] < FEEDBACK_S
        assert client.ask("flush", timeout_s=0.5)["durable"]
        exit_s = client.end()
        assert exit_s < EXIT_S
        rig.proxy.script = lambda request: None
        heir = rig.client()
        heir.ask("log", prefix="heir", count=1)
        assert heir.ask("settle", timeout_s=30)["stored"] == 203
        heir.ask("flush", timeout_s=5)
        heir.end()
        run.more["exit_s"] = round(exit_s, 2)
        assert run.add(rig.check()).forgone == ()


@pytest.mark.long
def test_a_request_to_a_server_that_trickles_is_over_after_ten_seconds(rig: Rig) -> None:
    with figures.run("F15 total deadline") as run:
        client = rig.client()
        rig.proxy.script = lambda request: trickle()
        client.ask("log", prefix="a", count=10)
        first, second = rig.proxy.await_requests(2, is_write)[:2]
        run.more["deadline_s"] = round(second.at_s - first.at_s, 2)
        assert 9.9 <= second.at_s - first.at_s <= 11.0  # the retry's own jitter is up to 0.5 s
        assert client.ask("get", name="a-0")["error"] == "StoreUnavailable"
        rig.proxy.script = lambda request: None
        client.ask("settle", timeout_s=60)
        client.ask("flush", timeout_s=5)
        client.end()
        run.add(rig.check())


HALF_OPEN = {
    "hangs up unanswered": Toxics(drop_reply=1_000_000),
    "resets in the body": Toxics(reset_peer_bytes=1_000),
    "answers half": Toxics(limit_data_bytes=20),
}


def meet_half_open(rig: Rig, name: str) -> None:
    with figures.run(f"F16 {name}") as run:
        client = rig.client()
        rig.proxy.toxics = HALF_OPEN[name]
        client.ask("log", prefix="a", count=500, size=2_000)
        client.ask("feedback", names=[f"a-{number}" for number in range(20)])
        assert client.ask("flush", timeout_s=5)["durable"]
        seen = rig.proxy.connections
        until_s = time.monotonic() + 20
        while rig.proxy.connections < seen + 2 and time.monotonic() < until_s:
            client.ask("flush", timeout_s=0.1)
        assert client.ask("status")["stored"] == 0
        rig.proxy.toxics = Toxics()
        assert client.ask("deliver", timeout_s=20)["stored"] >= 500
        client.end()
        result = run.add(rig.check())
        assert (result.stored, result.forgone) == (520, ())


def test_an_unknown_outcome_is_tried_again_and_stored_once(together: Together) -> None:
    together(HALF_OPEN, meet_half_open)


def unreachable(name: str, proxy: FaultProxy) -> tuple[str, dict[str, str]]:
    """A server's URL that leads nowhere in a given way, and what the program's environment is then."""
    proxy.toxics = Toxics(timeout=True)
    if name == "takes connections only":
        return proxy.url, {}
    if name == "refuses":
        with socket.create_server(("127.0.0.1", 0)) as free:
            return f"http://127.0.0.1:{free.getsockname()[1]}", {}
    if name == "drops all packets":
        return "http://192.0.2.1:8787", {}  # a net that RFC 5737 gives to nobody
    return "http://afterword.example:8787", {"CAMPAIGN_RESOLVER": name}


SLOW = {
    "late": Toxics(latency_s=0.2),
    "in pieces": Toxics(slicer_bytes=3),
    "narrow": Toxics(bandwidth_bytes_s=2_000),
    "hanging up slowly": Toxics(slow_close_s=0.3),
}


def be_slow(rig: Rig, name: str) -> None:
    with figures.run(f"F16 {name}") as run:
        rig.proxy.toxics = SLOW[name]
        client = rig.client()
        client.ask("log", prefix="a", count=1_000)
        pending = client.ask("feedback", names=["a-0", "a-1"])["pending"]
        assert client.ask("settle", timeout_s=30)["stored"] == 1_000 + pending
        if name != "hanging up slowly":  # which lets requests on kept connections go unanswered
            assert (pending, client.ask("status")["faults"]) == (0, 0), client.told
        client.end()
        assert run.add(rig.check()).forgone == ()


def test_a_slow_network_is_no_fault(together: Together) -> None:
    together(SLOW, be_slow)


UNREACHABLE = ("takes connections only", "refuses", "drops all packets", "nxdomain", "hangs")


def reach_nobody(rig: Rig, name: str) -> None:
    with figures.run(f"F17 {name}") as run:
        url, environment = unreachable(name, rig.proxy)
        client = rig.client(url, **environment)
        said = client.ask("log", prefix="a", count=200)
        assert said["p50_us"] < CALLER_US
        given = client.ask("feedback", names=["a-0"])
        assert given["pending"] == 1
        assert given["most_s"] < FEEDBACK_S
        assert client.ask("flush", timeout_s=0.5)["durable"]
        assert client.ask("status")["spooled"] == 201
        exit_s = client.end()
        run.more.update(exit_s=round(exit_s, 2), caller_us=round(said["p50_us"], 1))
        assert exit_s < EXIT_S
        (segment,) = client.spool.rglob("*.seg")
        assert segment.stat().st_size > 200 * 100
        run.loops += 1


def test_a_server_that_cannot_be_reached_holds_up_nobody_and_no_exit(together: Together) -> None:
    together(UNREACHABLE, reach_nobody)


def test_a_server_that_moved_is_found_at_its_new_address(tmp_path: Path) -> None:
    """The name stays, and leads elsewhere from now on; connections to the old address end."""
    address = tmp_path / "address"
    address.write_text("127.0.0.1")
    with figures.run("F17 new address") as run, FaultProxy(address=("127.0.0.2", 0)) as new:
        new.script = acknowledgement
        with FaultProxy(address=("127.0.0.1", new.port)) as old:
            old.script = acknowledgement
            url = f"http://afterword.example:{new.port}"
            client = ClientProcess(url, tmp_path, CAMPAIGN_RESOLVER=str(address))
            client.ask("log", prefix="old", count=10)
            assert client.ask("settle", timeout_s=20)["stored"] == 10
            address.write_text("127.0.0.2")
        with client:
            client.ask("log", prefix="new", count=10)
            assert client.ask("deliver", timeout_s=20)["stored"] == 20
            client.end()
        assert [len(request.data_ids) for request in old.requests] == [10]
        assert sum(len(request.data_ids) for request in new.requests) == 10
        run.loops += 1
