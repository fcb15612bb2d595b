"""Finding the bad ones of a batch in few writes (layer 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from afterword.errors import StoreBusy, StoreTooNew, StoreUnavailable

T = TypeVar("T")

#: What trying again later may mend; anything else is the fault of the record.
AWAY = (StoreBusy, StoreUnavailable, StoreTooNew)


def write_halving(
    parts: Sequence[T],
    write: Callable[[Sequence[T]], Any],
    *,
    taken: Callable[[Sequence[T]], object],
    refused: Callable[[T, BaseException], object],
) -> None:
    """Write all of `parts`, in order, halving what fails until the bad ones stand alone.

    Raises:
        StoreError: the store is away; `taken` and `refused` have heard of what came before.
    """
    left = [parts]
    while left:
        part = left.pop()
        if not part:
            continue
        try:
            write(part)
        except AWAY:
            raise
        except BaseException as error:  # not even a store that calls sys.exit ends the thread
            if len(part) == 1:
                refused(part[0], error)
            else:
                middle = len(part) // 2
                left += [part[middle:], part[:middle]]
        else:
            taken(part)
