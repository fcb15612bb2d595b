"""The counts: a move is seen whole or not at all."""

from __future__ import annotations

import threading

from afterword.delivery.counts import Counts

EACH = 400
WAIT_S = 20.0


def test_whoever_reads_finds_every_record_once() -> None:
    counts = Counts()
    counts.move(in_hand=4 * EACH)
    over = threading.Event()
    wrong: list[int] = []

    def move() -> None:
        for turn in range(EACH):
            counts.move(in_hand=-1, spooled=1)
            if turn % 3 == 0:
                counts.move(spooled=-1, stored=1)
            elif turn % 3 == 1:
                counts.move(spooled=-1, dead_lettered=1)
            else:
                counts.move(spooled=-1, lost=1)

    def read() -> None:
        while not over.is_set():
            total = counts.read(
                lambda: (
                    counts.in_hand + counts.spooled + counts.stored + counts.dead_lettered
                    + counts.lost
                )
            )  # fmt: skip
            if total != 4 * EACH:
                wrong.append(total)

    reader = threading.Thread(target=read)
    movers = [threading.Thread(target=move) for _ in range(4)]
    for thread in (reader, *movers):
        thread.start()
    for thread in movers:
        thread.join()
    over.set()
    reader.join()
    assert wrong == []
    assert (counts.in_hand, counts.spooled) == (0, 0)
    assert counts.stored + counts.dead_lettered + counts.lost == 4 * EACH


def test_what_others_have_left_is_not_counted_as_one_s_own() -> None:
    counts = Counts()
    counts.move(spooled=3, is_own=False)
    counts.move(spooled=-1, stored=1, is_own=False)
    assert (counts.spooled, counts.stored) == (2, 1)
    assert (counts.own_spooled, counts.own_done) == (0, 0)
    counts.move(spooled=2)
    counts.move(spooled=-2, stored=1, lost=1)
    assert (counts.own_spooled, counts.own_done) == (0, 2)


def test_whoever_waits_hears_of_every_move() -> None:
    counts = Counts()
    heard = threading.Event()

    def wait() -> None:
        while not heard.is_set():
            with counts.watch() as moved:
                if counts.stored == 1:
                    heard.set()
                else:
                    assert moved.acquire(timeout=WAIT_S)

    waiter = threading.Thread(target=wait)
    waiter.start()
    counts.move(spooled=1)
    counts.move(spooled=-1, stored=1)
    waiter.join(WAIT_S)
    assert heard.is_set()


def test_who_has_stopped_waiting_is_forgotten() -> None:
    counts = Counts()
    for _ in range(100):
        with counts.watch() as moved:
            assert not moved.acquire(timeout=0)
    assert not counts._latches
    with counts.watch() as moved:
        counts.move(stored=1)
        assert moved.acquire(timeout=0)


def test_a_finaliser_may_read_and_move_inside_a_move() -> None:
    counts = Counts()
    with counts.moving():
        counts.move(stored=1)
        assert counts.read(lambda: counts.stored) == 1
    assert counts.read(lambda: counts.stored) == 1


def test_no_reader_holds_up_a_move() -> None:
    """A signal handler that breaks in on a reader may wait for a thread that moves."""
    counts = Counts()

    def what() -> int:
        found = counts.stored
        mover = threading.Thread(target=counts.move, kwargs={"stored": 1})
        if not found:
            mover.start()
            mover.join(WAIT_S)
            assert not mover.is_alive()
        return found

    assert counts.read(what) == 1
