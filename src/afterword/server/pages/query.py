"""What a list page was asked for: the query string and the client's filters (layer 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from afterword.errors import InvalidInput
from afterword.model import STATUSES, FeedbackType

__all__ = ["Choice", "LogQuery", "encoded_filter", "feedback_choices", "parsed_value"]

_LABELS = {
    "text": "text",
    "project": "project",
    "feedback": "feedback",
    "sentiment": "sentiment",
    "status": "status",
    "name": "name",
    "version": "version",
    "model": "model",
    "user": "user",
    "session": "session",
    "since": "since",
    "until": "until",
}
_MAX_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a select: its value and what it says."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The filters of one list page, as the form spells them; the empty text means any.

    `feedback` is ``type`` for any value of a type or ``type:value`` for one.
    """

    text: str = ""
    project: str = ""
    feedback: str = ""
    sentiment: str = ""
    status: str = ""
    name: str = ""
    version: str = ""
    model: str = ""
    user: str = ""
    session: str = ""
    since: str = ""
    until: str = ""
    after: str = ""

    @classmethod
    def read(cls, params: Mapping[str, str]) -> LogQuery:
        """The query a query string spells; parameters it does not know are ignored."""
        known = [field.name for field in fields(cls)]
        return cls(**{name: params.get(name, "").strip()[:_MAX_CHARS] for name in known})

    @property
    def active(self) -> list[tuple[str, str, str]]:
        """The filters that are set: parameter, label, value."""
        found = ((name, label, getattr(self, name)) for name, label in _LABELS.items())
        return [entry for entry in found if entry[2]]

    @property
    def has_more_set(self) -> bool:
        """Whether one of the filters of the second row is set."""
        return any((self.name, self.version, self.model, self.user, self.session)) or any(
            (self.since, self.until)
        )

    def encoded(self, **changes: str) -> str:
        """The query string with some parameters changed, its ``?`` included where it has any.

        It leads to the first page unless `after` is among the changes.
        """
        changed = replace(self, **{"after": "", **changes})
        pairs = [(field.name, getattr(changed, field.name)) for field in fields(changed)]
        encoded = urlencode([pair for pair in pairs if pair[1]])
        return f"?{encoded}" if encoded else ""

    def arguments(self, types: Sequence[FeedbackType]) -> dict[str, Any]:
        """What `Client.generations` takes.

        Raises:
            InvalidInput: a filter makes no sense; `field` names it.
        """
        arguments: dict[str, Any] = {}
        for name in ("project", "name", "version", "model", "user", "session", "text", "after"):
            if given := getattr(self, name):
                arguments[name] = given
        if self.status:
            arguments["status"] = _one_of("status", self.status, STATUSES)
        if self.sentiment:
            arguments["sentiment"] = _one_of("sentiment", self.sentiment, ("positive", "negative"))
        for name in ("since", "until"):
            if given := getattr(self, name):
                arguments[name] = _moment(name, given)
        if self.feedback:
            kind, separator, value = self.feedback.partition(":")
            definition = next((found for found in types if found.name == kind), None)
            wanted = parsed_value(definition, value) if separator else None
            arguments["feedback"] = {kind: wanted}
        return arguments


def feedback_choices(
    types: Sequence[FeedbackType], chosen: str = ""
) -> list[tuple[str, list[Choice]]]:
    """What the feedback filter offers, in groups; `chosen` is among it whatever it is."""
    groups: list[tuple[str, list[Choice]]] = []
    for definition in types:
        kind = definition.name
        values = [label.name for label in definition.labels] or _few_values(definition)
        choices = [Choice(kind, f"any {kind}")]
        choices.extend(Choice(f"{kind}:{value}", f"{kind}: {value}") for value in values)
        groups.append((kind, choices))
    offered = {choice.value for _, choices in groups for choice in choices}
    if chosen and chosen not in offered:
        groups.append(("asked for", [Choice(chosen, chosen.replace(":", ": ", 1))]))
    return groups


def encoded_filter(name: str, value: object) -> str:
    """The query string of the list with one filter set."""
    return urlencode({name: str(value)}, errors="replace")


def parsed_value(definition: FeedbackType | None, text: str) -> str | bool | int | float:
    """The value a form spelled as text, in the kind its feedback type takes.

    Text that does not fit is returned as it is: the feedback type refuses it in its own words.
    """
    if definition is not None and definition.cls == "boolean":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    if definition is not None and definition.cls == "number":
        try:
            return int(text[:40])
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _few_values(definition: FeedbackType) -> list[str]:
    if definition.cls == "boolean":
        return ["yes", "no"]
    low, high, step = definition.minimum, definition.maximum, definition.step or 1
    if definition.cls == "number" and low is not None and high is not None:
        steps = int((high - low) / step)
        if 0 <= steps <= 20:
            return [f"{low + step * position:g}" for position in range(steps + 1)]
    return []


def _one_of(field: str, given: str, allowed: tuple[str, ...]) -> str:
    if given not in allowed:
        raise InvalidInput(
            f"{field} must be one of: {', '.join(allowed)}", field=field, allowed=allowed
        )
    return given


def _moment(field: str, given: str) -> datetime:
    try:
        when = datetime.fromisoformat(given)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{field} must be a time such as 2026-11-23T14:30 (UTC)", field=field
        ) from None
