"""Feedback types: the defaults every project has, and how one is declared (layer 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from afterword.codec import clean
from afterword.errors import InvalidInput
from afterword.feedback.classes import feedback_class
from afterword.model import SIGNALS, FeedbackType, Label, Sentiment, Signal

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}\Z")
_MAX_LABELS = 100
_MAX_LABEL_CHARS = 100

_SENTIMENTS: dict[Any, Sentiment | None] = {
    "positive": "positive",
    "+": "positive",
    1: "positive",
    "negative": "negative",
    "-": "negative",
    "−": "negative",  # noqa: RUF001 - the minus sign people paste
    -1: "negative",
    "neutral": None,
    "": None,
    0: None,
    None: None,
}


def _labels(positive: str, negative: str) -> tuple[Label, ...]:
    return tuple(
        [Label(name, "positive") for name in positive.split()]
        + [Label(name, "negative") for name in negative.split()]
    )


#: What every project has before it declares anything, as Humanloop had them.
DEFAULT_TYPES: dict[str, FeedbackType] = {
    definition.name: definition
    for definition in (
        FeedbackType(name="rating", cls="select", labels=_labels("good", "bad")),
        FeedbackType(
            name="action",
            cls="multi_select",
            labels=_labels("copied saved shared inserted", "dismissed regenerated"),
            signal="implicit",
        ),
        FeedbackType(
            name="issue",
            cls="multi_select",
            labels=_labels("", "incorrect incomplete irrelevant offensive too_long bad_format"),
        ),
        FeedbackType(name="correction", cls="text", signal="free-form"),
        FeedbackType(name="comment", cls="text", signal="free-form"),
    )
}


def declare(
    name: str,
    cls: str,
    labels: Any = None,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    signal: str | None = None,
) -> FeedbackType:
    """A checked feedback type.

    Raises:
        InvalidInput: a field does not fit; the message names it and what is allowed.
    """
    if type(name) is not str or not _NAME.match(name):
        raise InvalidInput(
            "name must be 1 to 64 characters of letters, digits, space . _ -", field="name"
        )
    module = feedback_class(cls)
    if signal is None:
        signal = "free-form" if cls == "text" else "explicit"
    if signal not in SIGNALS:
        raise InvalidInput(
            f"signal must be one of: {', '.join(SIGNALS)}", field="signal", allowed=SIGNALS
        )
    definition = FeedbackType(
        name=name,
        cls=cls,
        labels=_parsed_labels(labels),
        minimum=minimum,
        maximum=maximum,
        step=step,
        signal=cast("Signal", signal),
    )
    return module.define(definition)


def _parsed_labels(labels: Any) -> tuple[Label, ...]:
    if labels is None:
        return ()
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise InvalidInput("labels must be a list or a mapping to sentiments", field="labels")
    entries: Iterable[Any] = labels.items() if isinstance(labels, Mapping) else labels
    parsed = [_parsed_label(entry) for entry in entries]
    names = [label.name for label in parsed]
    if len(set(names)) != len(names) or len(names) > _MAX_LABELS:
        raise InvalidInput(
            f"labels must be different from each other and at most {_MAX_LABELS}", field="labels"
        )
    return tuple(parsed)


def _parsed_label(entry: Any) -> Label:
    if isinstance(entry, Label):
        name, sentiment = entry.name, entry.sentiment
    elif isinstance(entry, Mapping):
        fields = cast("Mapping[str, Any]", entry)
        name, sentiment = fields.get("name", fields.get("value")), fields.get("sentiment")
    elif isinstance(entry, (tuple, list)) and len(cast("list[Any]", entry)) == 2:
        name, sentiment = cast("list[Any]", entry)
    else:
        name, sentiment = entry, None
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_LABEL_CHARS or clean(name) != name:
        raise InvalidInput(
            f"a label is text of 1 to {_MAX_LABEL_CHARS} characters, without NUL or lone surrogates",
            field="labels",
        )
    try:
        return Label(name, _SENTIMENTS[sentiment])
    except (KeyError, TypeError):
        raise InvalidInput(
            f"the sentiment of label {name!r} must be positive, negative or neutral",
            field="labels",
            allowed=("positive", "negative", "neutral"),
        ) from None
