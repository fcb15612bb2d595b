"""Retention on every store that keeps its records itself: what goes, what stays out, and the clock."""

from __future__ import annotations

import threading

import pytest
from store_rows import feedback, generation

from afterword.errors import ClockJumped, InvalidInput
from afterword.stores import Store
from afterword.stores.protocol import Query
from afterword.stores.retention import Clock, remove_old, stop

DAY = 86_400_000_000
NOW = 20_000 * DAY


class TestClock(Clock):
    """A clock that tells what the test says."""

    __test__ = False

    def __init__(self, now: int = NOW, boot: str = "b", running: int = DAY) -> None:
        self.at, self.boot, self.for_us = now, boot, running

    def now(self) -> int:
        return self.at

    def running(self) -> tuple[str, int]:
        return self.boot, self.for_us

    def wait(self, days: float) -> None:
        """Let time pass as it does: on the wall and since the start alike."""
        self.at += int(days * DAY)
        self.for_us += int(days * DAY)


def filled(store: Store) -> Store:
    """A generation for each of the last 100 days, rated and with an alias."""
    rows = [generation(f"day-{day}", created_at=NOW - day * DAY) for day in range(100)]
    said = [feedback(row.id, at=row.created_at + 1) for row in rows]
    store.write([*rows, generation("day-50", "q", created_at=NOW - 50 * DAY)], said)
    for row in rows:
        store.put_alias("p", f"message {row.id}", row.id)
    return store


def left(store: Store) -> set[str]:
    return {row.id for row in store.generations(Query(limit=500))}


RECENT = {f"day-{day}" for day in range(31)}


def test_what_is_too_old_goes_with_all_that_belongs_to_it(own_store: Store) -> None:
    store = filled(own_store)
    assert remove_old(store, 30, clock=TestClock()) == 70
    assert left(store) == RECENT
    assert {said.data_id for said in store.history([f"day-{day}" for day in range(100)])} == RECENT
    assert store.resolve("message day-31") is None
    assert store.resolve("message day-30") == "day-30"
    assert store.generations(Query(feedback={"rating": '"good"'}, until=NOW - 31 * DAY)) == []
    assert remove_old(store, 30, clock=TestClock()) == 0


def test_what_was_removed_does_not_come_back(own_store: Store) -> None:
    store = filled(own_store)
    remove_old(store, 30, clock=TestClock())
    late = [generation("day-60", created_at=NOW - 60 * DAY), generation("new", created_at=NOW)]
    store.write(late, [feedback("day-60", "bad", at=NOW - 59 * DAY), feedback("new", at=NOW)])
    assert left(store) == {*RECENT, "new"}
    assert store.history(["day-60"]) == []
    assert stop(store)
    assert not stop(store)
    store.write(late[:1], [])
    assert "day-60" in left(store)


def test_late_records_that_race_a_removal_leave_nothing_of_that_age(own_store: Store) -> None:
    store = filled(own_store)
    started, over = threading.Event(), threading.Event()

    def write_late() -> None:
        number = 0
        while not over.is_set() and number < 2_000:
            row = generation(f"day-{31 + number % 60}", created_at=NOW - (31 + number % 60) * DAY)
            store.write([row], [feedback(row.id, at=row.created_at + number)])
            number += 1
            if number == 5:
                started.set()

    writers = [threading.Thread(target=write_late) for _ in range(2)]
    for writer in writers:
        writer.start()
    assert started.wait(30)
    remove_old(store, 30, clock=TestClock())
    over.set()
    for writer in writers:
        writer.join(30)
    assert left(store) == RECENT
    assert {said.data_id for said in store.history([f"day-{day}" for day in range(100)])} == RECENT


JUMPS = {
    "ten years ahead": TestClock(NOW + 3_650 * DAY),
    "to 1970": TestClock(0),
    "a day and an hour ahead": TestClock(NOW + DAY + DAY // 24),
    "beyond all calendars": TestClock(1 << 62),
}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumped_removes_nothing_until_somebody_confirms_it(
    own_store: Store, jump: str
) -> None:
    store = filled(own_store)
    before = left(store)
    with pytest.raises(ClockJumped, match="--confirm"):
        remove_old(store, 30, clock=JUMPS[jump])
    assert left(store) == before
    store.write([generation("new", created_at=NOW - 90 * DAY)], [])
    assert left(store) == {*before, "new"}


def test_a_jump_between_two_runs_is_seen_however_long_they_are_apart(own_store: Store) -> None:
    store = filled(own_store)
    clock = TestClock()
    remove_old(store, 90, clock=clock)
    clock.wait(40)  # nobody ran it for a while, nothing was written: no jump
    assert remove_old(store, 90, clock=clock) == 40
    clock.at += 2 * DAY
    with pytest.raises(ClockJumped):
        remove_old(store, 90, clock=clock)
    assert remove_old(store, 90, clock=clock, confirmed=True) == 3  # two days, and one of project q
    clock.wait(1)
    assert remove_old(store, 90, clock=clock) == 1
    clock.at, clock.boot, clock.for_us = clock.at + 3 * DAY, "started anew", 0
    with pytest.raises(ClockJumped):
        remove_old(store, 90, clock=clock)
    clock.at -= 2 * DAY + 1
    assert remove_old(store, 90, clock=clock) == 1


def test_an_own_store_tells_no_time_so_nothing_is_kept_out(own_store: Store) -> None:
    assert remove_old(own_store, 30, clock=TestClock(NOW + 9_999 * DAY)) == 0
    row = generation(created_at=NOW)
    own_store.write([row], [])
    assert left(own_store) == {row.id}


@pytest.mark.parametrize("days", [0, -1, 10**9])
def test_a_number_of_days_that_is_none_is_refused(own_store: Store, days: int) -> None:
    with pytest.raises(InvalidInput, match="keep_days"):
        remove_old(own_store, days)


def test_the_clock_of_this_machine_runs() -> None:
    clock = Clock()
    (boot, first), (again, second) = clock.running(), clock.running()
    assert boot == again
    assert second >= first
    assert clock.now() > 1_700_000_000_000_000
