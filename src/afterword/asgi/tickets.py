"""Tickets: data IDs with their tokens, made ahead while requests come fast (layer 5).

A token made between two other things costs a busy server three times what it costs as one of a row, since
its code and data have left the processor's caches each time. So where nobody's name goes into them, tokens
are made a few at once. When requests come one by one nothing is made ahead.
"""

from __future__ import annotations

import os
import weakref
from collections import deque

from afterword.asgi.tokens import Press, random_bytes
from afterword.client import Client
from afterword.ids import new_id

#: Enough to have most of what a row saves, and a tenth of a millisecond's work.
MOST_AT_ONCE = 32

#: A data ID that nothing has yet, the random subject that its token names, the token, and whose stock it is from.
Ticket = tuple[str, bytes, str, "Tickets"]


class Tickets:
    """The stock of one client. Safe from any thread."""

    __slots__ = ("__weakref__", "_at_once", "_press", "_stock", "_stocked_s", "_ttl_s", "client")

    def __init__(self, client: Client, press: Press, ttl_s: int) -> None:
        self.client = client
        self._press = press
        self._ttl_s = ttl_s
        self._stock: deque[Ticket] = deque()
        self._at_once = 1
        self._stocked_s = -1
        _all.add(self)

    def draw(self, now_s: int) -> Ticket | None:
        """A ticket made in this second; None when none was worth making."""
        if now_s != self._stocked_s:
            # The first of a second is made when it is asked for, and tells that more may come.
            self.forget()
            self._stocked_s, self._at_once = now_s, 1
            return None
        try:
            return self._stock.popleft()
        except IndexError:
            self._at_once = min(2 * self._at_once, MOST_AT_ONCE)
            first, *others = [self._ticket(now_s) for _ in range(self._at_once)]
            self._stock.extend(others)
            return first

    def _ticket(self, now_s: int) -> Ticket:
        data_id, subject = new_id(), random_bytes()
        token = self._press.mint([data_id], subject, False, now_s, self._ttl_s)
        return data_id, subject, token, self

    def forget(self) -> None:
        """Let go of what was made ahead."""
        self._stock.clear()
        self._stocked_s = -1


_all: weakref.WeakSet[Tickets] = weakref.WeakSet()


def _forget_all() -> None:
    for tickets in _all:
        tickets.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)  # or a child would share data IDs
