"""F13 to F21 at random, one after the other and all from one seed, under a program that goes on working."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import figures
import pytest
from fault_proxy import Reply, Toxics
from stub_replies import captive_portal, no_content, refusal, trickle

from conftest import Rig

TOXICS = (
    Toxics(),
    Toxics(),
    Toxics(latency_s=0.15),
    Toxics(slow_close_s=0.05),
    Toxics(slicer_bytes=5),
    Toxics(reset_peer_bytes=100),
    Toxics(limit_data_bytes=40),
    Toxics(drop_reply=2),
    Toxics(duplicate_request=3),
    Toxics(reorder=2),
)
REPLIES: tuple[Callable[[], Reply], ...] = (
    partial(refusal, 500),
    partial(refusal, 503),
    partial(refusal, 429, Retry_After="1"),
    partial(refusal, 401),
    captive_portal,
    no_content,
    trickle,
)


def trouble(rig: Rig, dice: random.Random) -> None:
    """Whatever comes next."""
    reply = dice.choice(REPLIES)() if dice.random() < 0.4 else None
    rig.proxy.script = lambda request: reply
    rig.proxy.toxics = dice.choice(TOXICS)
    if dice.random() < 0.2:
        rig.proxy.deliver_kept_back()


@pytest.mark.parametrize(("rounds", "seed"), [(8, 1), pytest.param(200, 2, marks=pytest.mark.long)])
def test_whatever_the_network_does_all_of_it_arrives_once(rig: Rig, rounds: int, seed: int) -> None:
    dice = random.Random(seed)
    with figures.run("F13 to F21 at random", seed=seed, rounds=rounds) as run:
        client = rig.client()
        for number in range(rounds):
            trouble(rig, dice)
            client.ask("log", prefix=f"a{number}", count=dice.randint(1, 120))
            client.ask("feedback", names=[f"a{number}-0"])
            client.ask("settle", timeout_s=dice.uniform(0.0, 0.3))
            if dice.random() < 0.1:
                client.kill()  # what no flush has acknowledged may be gone
                client = rig.client()
            elif dice.random() < 0.2:
                client.end()
                client = rig.client()
            else:
                client.ask("flush", timeout_s=0.2)
        rig.proxy.script, rig.proxy.toxics = lambda request: None, Toxics()
        rig.proxy.deliver_kept_back()
        client.ask("log", prefix="last", count=1)
        client.ask("deliver", timeout_s=60)
        until_s = time.monotonic() + 60
        while any(client.spool.rglob("*.seg")) and time.monotonic() < until_s:
            client.ask("deliver", timeout_s=2)
        client.end()
        run.more["requests"] = len(rig.proxy.requests)
        result = run.add(rig.check())
        run.more["forgone"] = len(result.forgone)
        assert result.acknowledged > result.attempted / 2
