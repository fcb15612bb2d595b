"""What captured calls add to the outermost generation around them (layer 4)."""

from __future__ import annotations

import threading
from typing import Any

from afterword.capture.annotations import _patch
from afterword.capture.providers.folding import Tokens
from afterword.capture.records import Call
from afterword.delivery import lifetimes

_KEY = "rolled_up"

#: A finaliser may end a stream while this very thread holds the lock.
_lock = threading.RLock()


def _in_child() -> None:
    """Another thread of the parent may have had the lock."""
    global _lock
    _lock = threading.RLock()


lifetimes.call_after_fork(_in_child)


class _Sum:
    """What has been added to one generation so far, by the names of its notes."""

    __slots__ = ("is_priced", "notes")

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self.is_priced = True


def roll_up(
    call: Call, model: str | None, provider: str, tokens: Tokens, cost_usd: float | None
) -> None:
    """Add to the outermost generation around `call`, if there is one.

    Tokens and costs are summed, model and provider are the last call's. What the user's code says
    itself stays as it said. A sum of costs of which one is unknown is unknown.
    """
    outermost: Any = call.parent
    if outermost is None:
        return
    while outermost.parent is not None:
        outermost = outermost.parent
    if not isinstance(outermost, Call):
        return
    with _lock:
        notes = outermost.notes
        if notes is None:
            notes = outermost.notes = {}
        added = notes.setdefault(_KEY, _Sum())
        fresh = _added(added, outermost, model, provider, tokens, cost_usd)
        if outermost.done:
            client, project = outermost.client, outermost.spec.project
            client.recorder.put(_patch(client, project or client.project, outermost.data_id, fresh))
            return
        for name, value in fresh.items():
            if value is None:
                notes.pop(name, None)
            else:
                notes[name] = value


def _added(
    added: _Sum,
    outermost: Call,
    model: str | None,
    provider: str,
    tokens: Tokens,
    cost_usd: float | None,
) -> dict[str, Any]:
    """Add to the sum; the notes that come of it and that the user's code has not made itself."""
    before, after = dict(added.notes), added.notes
    after["provider"] = provider
    if model is not None and outermost.spec.model is None:
        after["model"] = model
    for name, number in (("input_tokens", tokens.input), ("output_tokens", tokens.output)):
        if number is not None:
            after[name] = after.get(name, 0) + number
    if cost_usd is None:
        added.is_priced = False
        after["cost_usd"] = None
    elif added.is_priced:
        after["cost_usd"] = after.get("cost_usd", 0.0) + cost_usd
    notes = outermost.notes or {}
    return {name: value for name, value in after.items() if notes.get(name) == before.get(name)}
