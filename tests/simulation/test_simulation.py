"""Thousands of histories of the delivery code in a world that fails, each from one seed.

A failing seed is printed with its error and added to `failed_seeds.txt`, whose histories are run first.
"""

from __future__ import annotations

import logging
import random
import sys
import time
from pathlib import Path

import pytest
from histories import History

from afterword.delivery.recorder import Recorder
from afterword.delivery.sender import Sender

FAILED_SEEDS = Path(__file__).with_name("failed_seeds.txt")
BLOCKS = 10
HISTORIES_A_BLOCK = 300


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """No threads: the dice say whose turn it is."""
    for owner in (Recorder, Sender):
        monkeypatch.setattr(owner, "_start_thread", lambda self: None)
    caplog.set_level(logging.CRITICAL, "afterword")


def failed_seeds() -> list[int]:
    return [int(line) for line in FAILED_SEEDS.read_text().split()]


def run(seed: int) -> History:
    history = History(seed)
    try:
        history.run()
    except BaseException as error:
        error.add_note(f"the history of seed {seed}")
        if seed not in failed_seeds():
            with FAILED_SEEDS.open("a") as kept:
                kept.write(f"{seed}\n")
        raise
    return history


def test_histories_that_failed_once_end_well() -> None:
    assert failed_seeds()
    for seed in failed_seeds():
        run(seed)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_histories_of_failure_lose_nothing_that_was_promised(block: int) -> None:
    first = block * HISTORIES_A_BLOCK
    histories = [run(seed) for seed in range(first, first + HISTORIES_A_BLOCK)]
    assert sum(history.kills for history in histories) > HISTORIES_A_BLOCK / 4
    assert sum(len(history.acknowledged) for history in histories) > HISTORIES_A_BLOCK
    assert any(history.power_cuts for history in histories)


@pytest.mark.long
@pytest.mark.timeout(1_500)
def test_new_histories_lose_nothing_that_was_promised_either() -> None:
    first = random.SystemRandom().randrange(10**9)
    until_s = time.monotonic() + 1_200
    seed = first
    while time.monotonic() < until_s:
        run(seed)
        seed += 1
    sys.stdout.write(f"{seed - first:,} histories from seed {first}\n")
