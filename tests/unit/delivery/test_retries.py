"""When a store is tried again: full jitter, what the server named, and what hurries."""

from __future__ import annotations

import random

import pytest

from afterword.delivery.retries import LOCAL, MAX_RETRY_AFTER_S, REMOTE, Pace, Retries
from afterword.errors import StoreBusy, StoreRefused, StoreUnavailable


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failing(clock: Clock, pace: Pace, seed: int, failures: int) -> list[float]:
    """The delays of some failures in a row."""
    retries = Retries(pace, clock_s=clock, draw=random.Random(seed))
    delays: list[float] = []
    for _ in range(failures):
        retries.failed(StoreUnavailable())
        delays.append(retries.left_s())
    return delays


@pytest.mark.parametrize("pace", [LOCAL, REMOTE])
def test_each_delay_is_drawn_between_nothing_and_a_bound_that_doubles(
    clock: Clock, pace: Pace
) -> None:
    drawn = [failing(clock, pace, seed, 14) for seed in range(400)]
    for failure, delays in enumerate(zip(*drawn, strict=True)):
        bound_s = min(pace.first_s * 2**failure, pace.last_s)
        assert 0 < min(delays) < 0.1 * bound_s + 0.01
        assert 0.9 * bound_s < max(delays) <= max(bound_s, 0.01) + 1e-9
        assert abs(sum(delays) / len(delays) - bound_s / 2) < bound_s / 8 + 0.01


def test_clients_of_one_server_do_not_come_back_together(clock: Clock) -> None:
    assert len({failing(clock, REMOTE, seed, 1)[0] for seed in range(100)}) == 100


def test_very_many_failures_do_not_overflow(clock: Clock) -> None:
    assert max(failing(clock, REMOTE, 1, 5_000)) <= REMOTE.last_s


@pytest.mark.parametrize(
    ("named_s", "least_s"), [(0.0, 0.0), (7.0, 7.0), (-3.0, 0.0), (1e9, MAX_RETRY_AFTER_S)]
)
def test_the_time_that_the_server_names_is_kept_with_a_little_jitter(
    clock: Clock, named_s: float, least_s: float
) -> None:
    for seed in range(50):
        retries = Retries(REMOTE, clock_s=clock, draw=random.Random(seed))
        error = StoreBusy()
        error.retry_after_s = named_s
        retries.failed(error)
        assert least_s <= retries.left_s() <= least_s + 0.5 + 1e-9


def test_somebody_who_waits_hurries_a_drawn_delay_and_no_named_one(clock: Clock) -> None:
    retries = Retries(REMOTE, clock_s=clock, draw=random.Random(3))
    retries.failed(StoreUnavailable())
    assert retries.left_s() > 0
    retries.hurry()
    assert retries.left_s() == 0
    named = StoreBusy()
    named.retry_after_s = 60.0
    retries.failed(named)
    retries.hurry()
    assert retries.left_s() >= 60.0


def test_a_refused_key_is_tried_seldom(clock: Clock) -> None:
    for seed in range(50):
        retries = Retries(REMOTE, clock_s=clock, draw=random.Random(seed))
        retries.failed(StoreRefused())
        assert REMOTE.last_s / 2 <= retries.left_s() <= REMOTE.last_s


def test_success_begins_anew(clock: Clock) -> None:
    retries = Retries(REMOTE, clock_s=clock, draw=random.Random(1))
    for _ in range(12):
        retries.failed(StoreUnavailable("gone"))
    assert retries.away
    assert str(retries.reason) == "gone"
    retries.succeeded()
    assert not retries.away
    assert retries.left_s() == 0
    retries.failed(StoreUnavailable())
    assert retries.left_s() <= REMOTE.first_s


def test_a_store_that_is_presumed_back_is_not_hammered_when_it_is_not(clock: Clock) -> None:
    delays: list[float] = []
    for seed in range(200):
        retries = Retries(REMOTE, clock_s=clock, draw=random.Random(seed))
        for _ in range(8):
            retries.failed(StoreUnavailable())
            retries.presume_back()
            assert not retries.away
        retries.failed(StoreUnavailable())
        delays.append(retries.left_s())
    assert sum(delays) / len(delays) > REMOTE.first_s * 2**8 / 4


def test_the_delay_is_over_when_its_time_has_come(clock: Clock) -> None:
    retries = Retries(REMOTE, clock_s=clock, draw=random.Random(1))
    retries.failed(StoreUnavailable())
    clock.now_s += retries.left_s()
    assert retries.left_s() == pytest.approx(0, abs=1e-6)
    assert retries.away
