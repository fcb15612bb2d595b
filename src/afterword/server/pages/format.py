"""Numbers, times and feedback as people read them (layer 5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from afterword.model import Feedback, FeedbackValue

__all__ = [
    "Moment",
    "cost",
    "count",
    "duration",
    "moment",
    "rater",
    "short_id",
    "short_name",
    "value_text",
]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in UTC: `day` and `time` to read, `iso` in full."""

    day: str
    time: str
    iso: str


def moment(when: datetime) -> Moment:
    """The time in UTC. A naive datetime is taken as UTC."""
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return Moment(
        day=f"{when:%Y-%m-%d}",
        time=f"{when:%H:%M:%S}",
        iso=when.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    )


def duration(ms: float) -> str:
    """Milliseconds as ``0.4 ms``, ``840 ms``, ``4.2 s``, ``3 min 12 s`` or ``2 h 5 min``."""
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def count(number: int) -> str:
    """A whole number with thousands apart."""
    return f"{number:,}"


def cost(usd: float) -> str:
    """US dollars: two decimals from one dollar on, up to eight below."""
    if usd >= 1 or usd == 0:
        return f"${usd:,.2f}"
    return "$" + f"{usd:.8f}".rstrip("0").rstrip(".")


def short_id(data_id: str) -> str:
    """The end of a data ID: that is where IDs minted together differ."""
    return data_id if len(data_id) <= 13 else f"…{data_id[-12:]}"


def short_name(name: str, limit: int = 22) -> str:
    """The end of a dotted name, as many whole parts as fit: that is where functions differ."""
    parts = name.split(".")
    while len(parts) > 1 and len(".".join(parts)) > limit:
        parts = parts[1:]
    short = ".".join(parts)
    return short if short == name else f"…{short}"


def value_text(value: FeedbackValue) -> str:
    """A feedback value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def rater(feedback: Feedback) -> str:
    """Who gave a feedback: the user, or which anonymous visitor."""
    if feedback.user:
        return feedback.user
    return f"anonymous {feedback.subject[:8]}" if feedback.subject else "nobody named"
