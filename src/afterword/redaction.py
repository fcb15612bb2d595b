"""Redaction: secrets and what users name never leave the process's memory (layer 0).

The built-in detectors run only on text that holds one of their hints, because a look for literals
is two orders of magnitude cheaper than the detectors themselves. A rule that raises, or text that takes
longer than the budget, leaves ``<redaction failed>``: closed, never open.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from afterword.errors import ConfigError

FAILED = "<redaction failed>"
BUDGET_MS = 50.0

Rule: TypeAlias = str | re.Pattern[str] | Callable[[str], str]


class Hidden(str):
    """A secret that is text to those who use it, and nothing to those who print a traceback's values."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


def _detector(lead: str, rest: str) -> re.Pattern[str]:
    """A pattern for `lead` at the start of a word, and what follows it.

    It begins with the literal, which the regular expression engine looks for twenty times as fast
    as it tries a word boundary at each character.
    """
    return re.compile(rf"{lead}(?<!\w{lead}){rest}")


_KEY = "<redacted: api key>"
_KEY_ENDING = r"[A-Za-z0-9]{20,}"
# Prefixes are those their issuers publish, so that secret scanners can find leaked keys.
_DETECTORS: tuple[tuple[re.Pattern[str], str], ...] = (
    *(
        (_detector(lead, r"[-_](?:(?:live|test|proj|ant|or|lf)[-_])?[A-Za-z0-9_-]{16,}"), _KEY)
        for lead in ("sk", "pk", "rk")
    ),
    *((_detector(lead, _KEY_ENDING), _KEY) for lead in ("hf_", "gsk_", "xai_", "xai-", "npm_")),
    *((_detector(lead, _KEY_ENDING), _KEY) for lead in ("r8_", "dop_v1_", "pplx-", "shpat_")),
    *(
        (_detector(lead, r"[A-Za-z0-9_+/=-]{20,}"), _KEY)
        for lead in ("nvapi-", "tvly-", "xapp-", "GOCSPX-", "lsv2_", "whsec_", "awk_")
    ),
    *((_detector(lead, r"[A-Z0-9]{16}\b"), _KEY) for lead in ("AKIA", "ASIA")),
    (_detector("gh", r"[pousr]_[A-Za-z0-9]{20,}"), _KEY),
    (_detector("github_pat_", r"[A-Za-z0-9_]{20,}"), _KEY),
    (_detector("glpat-", r"[A-Za-z0-9_-]{16,}"), _KEY),
    (_detector("AIza", r"[A-Za-z0-9_-]{30,}"), _KEY),
    (_detector("xox", r"[abeoprs]-[A-Za-z0-9-]{10,}"), _KEY),
    (
        _detector("eyJ", r"[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
        "<redacted: jwt>",
    ),
    *(
        (
            re.compile(rf"{word}(?<=\b[Bb]{word})[ \t]+[A-Za-z0-9._~+/=-]{{12,}}"),
            f"{word} <redacted: token>",
        )
        for word in ("earer", "EARER")
    ),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?!-----BEGIN )[\s\S])*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
        ),
        "<redacted: private key>",
    ),
)

_WINDOW = 65_536
_LONGEST_HINT = 16

# Whatever a detector can match holds one of these, each behind a character that is looked for first
# because most text lacks it, and finding that out is nearly free.
_HINTS = tuple(
    (rare, re.compile(pattern).search)
    for rare, pattern in (
        (
            "-",
            (
                r"-(?:(?<=[spr]k-)|(?<=glpat-)|(?<=xox[abeoprs]-)|(?<=xai-)|(?<=pplx-)|(?<=nvapi-)"
                r"|(?<=tvly-)|(?<=xapp-)|(?<=GOCSPX-)|(?=----BEGIN ))"
            ),
        ),
        (
            "_",
            (
                r"_(?:(?<=[spr]k_)|(?<=gh[pousr]_)|(?<=github_pat_)|(?<=hf_)|(?<=gsk_)|(?<=xai_)"
                r"|(?<=npm_)|(?<=r8_)|(?<=dop_v1_)|(?<=shpat_)|(?<=lsv2_)|(?<=whsec_)|(?<=awk_))"
            ),
        ),
        ("A", r"A(?:KIA|SIA|Iza)"),
        ("J", r"J(?<=eyJ)"),
        ("R", r"R(?<=EARER)"),
    )
)


assert [rare for rare, _ in _HINTS] == ["-", "_", "A", "J", "R"], "may_hold_secret knows them"


def may_hold_secret(text: str) -> bool:
    """Whether a built-in detector could match somewhere in `text`; a JSON form of it will do."""
    # Every record comes by here twice, so that the loop is for those that need it.
    if "-" in text or "_" in text or "A" in text or "J" in text or "R" in text:
        for rare, hint in _HINTS:
            if rare in text and _occurs(hint, text):
                return True
    return "earer" in text


def _occurs(hint: Callable[..., Any], text: str) -> bool:
    if len(text) <= _WINDOW:
        return hint(text) is not None
    # One search holds the interpreter's lock to its end; other threads get their turn between two.
    starts = range(0, len(text), _WINDOW)
    return any(hint(text, start, start + _WINDOW + _LONGEST_HINT) is not None for start in starts)


class Redactor:
    """Takes secrets out of text and of plain values.

    `rules` come after the built-in detectors: a regular expression (matches become
    ``<redacted>``) or a callable from text to text. Safe from any thread.

    Raises:
        ConfigError: a rule is neither, or does not compile.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        defaults: bool = True,
        budget_ms: float = BUDGET_MS,
        on_fault: Callable[[str, BaseException], None] | None = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._rules = tuple(_compiled(rule) for rule in rules)
        self._defaults = defaults
        self._budget_ns = int(budget_ms * 1_000_000)
        self._on_fault = on_fault
        self._clock_ns = clock_ns

    def text(self, text: str) -> str:
        """`text` without what the rules name; ``<redaction failed>`` if one fails. Never raises."""
        try:
            # Most text comes by here once a record, and holds nothing.
            if self._rules or (self._defaults and may_hold_secret(text)):
                return self._redacted(text)
            return text
        except (Exception, SystemExit) as error:
            if self._on_fault is not None:
                self._on_fault("redaction", error)
            return FAILED

    def may_change(self, text: str) -> bool:
        """Whether redaction could change a value whose JSON is `text`. False is certain."""
        if self._rules:
            return True
        # What bytes hold cannot be seen in their JSON.
        # The dollar is looked for first because most text lacks it, as with the hints.
        return self._defaults and (("$" in text and '{"$bytes":' in text) or may_hold_secret(text))

    def _redacted(self, text: str) -> str:
        if self._defaults and may_hold_secret(text):
            for pattern, replacement in _DETECTORS:
                text = pattern.sub(replacement, text)
        started_ns = self._clock_ns()
        for rule in self._rules:
            text = rule(text)
            if type(text) is not str:
                raise TypeError("a redaction rule must return text")
            if self._clock_ns() - started_ns > self._budget_ns:
                raise TimeoutError("redaction took longer than its budget")
        return text

    def value(self, value: Any) -> Any:
        """A plain value (None, bool, number, text, bytes, list, dict) with every text redacted."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is dict:
            return {
                (self.text(key) if type(key) is str else key): self.value(item)
                for key, item in value.items()
            }
        if kind is list or kind is tuple:
            return [self.value(item) for item in value]
        if kind is bytes:
            return self._bytes(value)
        return value

    def _bytes(self, value: bytes) -> bytes:
        text = value.decode("latin-1")
        redacted = self.text(text)
        return value if redacted == text else redacted.encode("latin-1", "replace")


def _compiled(rule: Rule) -> Callable[[str], str]:
    if isinstance(rule, str):
        try:
            rule = re.compile(rule)
        except re.error as error:
            raise ConfigError(
                f"redaction rule {rule!r} is not a regular expression: {error}"
            ) from None
    if isinstance(rule, re.Pattern):
        pattern = rule
        return lambda text: pattern.sub("<redacted>", text)
    if callable(rule):
        return rule
    raise ConfigError(f"a redaction rule is a regular expression or a callable, not {rule!r}")
