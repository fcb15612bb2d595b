"""Answers: given once, heard by all, and no lock in between."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue
from types import FrameType
from typing import Any

import pytest
from alarms import alarms

from afterword.delivery.answers import Answer

WAIT_S = 20.0


def test_the_first_word_counts() -> None:
    answer: Answer[int] = Answer()
    assert not answer.is_there
    assert answer.tell(1)
    assert not answer.tell(2)
    assert not answer.fail(OSError())
    assert answer.is_there
    assert (answer.result(), answer.result(0), answer.error) == (1, 1, None)


def test_a_failure_is_raised_for_each_that_asks() -> None:
    answer: Answer[int] = Answer()
    error = OSError("away")
    assert answer.fail(error)
    assert not answer.tell(1)
    for _ in range(2):
        with pytest.raises(OSError, match="away") as caught:
            answer.result(0)
        assert caught.value is error


def test_who_waits_for_too_long_gives_up_and_may_ask_again() -> None:
    answer: Answer[str] = Answer()
    for timeout_s in (0, -1, 0.01):
        with pytest.raises(TimeoutError):
            answer.result(timeout_s)
    answer.tell("late")
    assert answer.result() == "late"


def test_of_many_givers_one_is_heard_by_every_listener_once() -> None:
    for _ in range(200):
        answer: Answer[int] = Answer()
        heard: list[int] = []
        won: list[int] = []
        start = threading.Barrier(6)

        def listen(
            answer: Answer[int] = answer, heard: list[int] = heard, start: Any = start
        ) -> None:
            start.wait(WAIT_S)
            answer.then(lambda given: heard.append(given.result(0)))

        def give(
            number: int, answer: Answer[int] = answer, won: list[int] = won, start: Any = start
        ) -> None:
            start.wait(WAIT_S)
            if answer.tell(number):
                won.append(number)

        threads = [threading.Thread(target=listen) for _ in range(3)]
        threads += [threading.Thread(target=give, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert len(won) == 1
        assert heard == won * 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_a_signal_handler_may_wait_for_the_giver_wherever_it_breaks_in() -> None:
    """One thread gives all answers in turn, so whoever holds it up is never answered."""
    asked: SimpleQueue[Answer[int] | None] = (
        SimpleQueue()
    )  # which a signal handler may put into anywhere

    def give() -> None:
        while (answer := asked.get(timeout=WAIT_S)) is not None:
            answer.tell(1)

    def ask() -> int:
        answer: Answer[int] = Answer()
        asked.put(answer)
        return answer.result(WAIT_S)

    inside = caught = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal inside, caught
        if inside < 3:
            inside += 1
            caught += ask()
            inside -= 1

    giver = threading.Thread(target=give)
    giver.start()
    try:
        with alarms(handle):
            while caught < 500:
                assert ask() == 1
    finally:
        asked.put(None)
        giver.join(WAIT_S)
