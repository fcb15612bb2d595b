"""Retention: what is older than so many days goes, unless the clock cannot be trusted (layer 2).

A clock that jumps ahead would make everything old. So each run leaves a note of when it was, by the
clock of the wall and by the one that only runs forward since the machine started; where the two
disagree by more than a day, or nothing tells, nothing is removed until somebody confirms the time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from afterword.errors import ClockJumped, InvalidInput
from afterword.stores.protocol import Query, Store
from afterword.stores.tombstones import FLOOR

__all__ = ["KIND", "Clock", "remove_old", "stop"]

#: The kind of the documents that retention keeps in a store.
KIND, _ALL_PROJECTS, _ = FLOOR

_SIGHTING = "clock"
_DAY = 86_400_000_000
_MAX_DAYS = 36_500


class Clock:
    """What a machine knows of the time."""

    def now(self) -> int:
        """Microseconds since 1970, by the clock of the wall."""
        return time.time_ns() // 1_000

    def running(self) -> tuple[str, int]:
        """Which start of which machine this is, and the microseconds since, sleep included.

        Where the system does not tell, the first is empty.
        """
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                return file.read().strip(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000
        except (OSError, AttributeError):
            return "", 0


class _Sighting(msgspec.Struct):
    """When a run was, by both clocks."""

    now: int
    boot: str = ""
    running: int = 0


def remove_old(
    store: Store, keep_days: int, *, confirmed: bool = False, clock: Clock | None = None
) -> int:
    """Remove generations made more than `keep_days` ago, with their feedback; how many went.

    From then on the store takes none of that age, whatever arrives late, until `stop` is called.

    Raises:
        ClockJumped: the clock has moved by more than a day against what is known of the time, and
            nobody `confirmed` it. Nothing was removed.
        InvalidInput: `keep_days` is no number of days.
    """
    if not 1 <= keep_days <= _MAX_DAYS:
        raise InvalidInput(f"keep_days must be from 1 to {_MAX_DAYS}", field="keep_days")
    clock = clock or Clock()
    now, (boot, running) = clock.now(), clock.running()
    expected = _expected(store, boot, running)
    if expected is None:
        return 0  # nothing is kept, so there is nothing to remove, and nothing tells the time
    if not confirmed and abs(now - expected) > _DAY:
        raise ClockJumped(
            f"the clock says {_shown(now)}, where about {_shown(expected)} was expected;"
            " nothing was removed. If the clock is right, confirm it:"
            f" afterword retention --keep-days {keep_days} --confirm"
        )
    seen = msgspec.json.encode(_Sighting(now, boot, running)).decode()
    store.put_document(KIND, _ALL_PROJECTS, _SIGHTING, seen)
    return store.drop_before(now - keep_days * _DAY)


def stop(store: Store) -> bool:
    """Let records of any age be written again; whether some were kept out."""
    return store.drop_document(*FLOOR)


def _expected(store: Store, boot: str, running: int) -> int | None:
    """The time it should be by what is known; None where nothing is."""
    body = store.document(KIND, _ALL_PROJECTS, _SIGHTING)
    if body is None:
        newest = store.generations(Query(limit=1))
        return newest[0].created_at if newest else None
    seen = msgspec.json.decode(body, type=_Sighting)
    has_run = bool(boot) and seen.boot == boot
    return seen.now + (running - seen.running if has_run else 0)


def _shown(at: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at / 1_000_000, UTC):%Y-%m-%d %H:%M}Z"
    except (OverflowError, ValueError, OSError):
        return f"{at // _DAY} days after 1970"
