"""The sentence on top of every page when records were lost or refused (layer 5)."""

from __future__ import annotations

from afterword.client import Client

__all__ = ["banner_of"]


def banner_of(client: Client) -> str | None:
    """What this process has lost, and what waits in the spool as dead letters; None when nothing."""
    status = client.status()
    counts = ((status.dropped, "dropped"), (status.dead_lettered, "dead-lettered"))
    lost = [f"{number:,} {what}" for number, what in counts if number > 0]
    told: list[str] = []
    if lost:
        told.append(f"Not everything was logged: {', '.join(lost)} since this process started.")
    letters = _letters(client)
    if letters:
        wait = "1 dead letter waits" if letters == 1 else f"{letters:,} dead letters wait"
        told.append(f"{wait} in the spool: see “afterword dead-letters list”.")
    return " ".join(told) or None


def _letters(client: Client) -> int:
    letters = client.recorder.dispatch.dead_letters
    try:
        return 0 if letters is None else len(letters.names())
    except OSError:
        return 0
