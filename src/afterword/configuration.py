"""Configuration: arguments beat the environment beats the defaults (layer 3)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from afterword.errors import ConfigError, InvalidInput
from afterword.redaction import Rule

DEFAULT_URL = "sqlite:///afterword.db"
DEFAULT_PROJECT = "default"
#: How soon a record is safe: within 100 ms, or before its call returns.
DURABILITIES = ("normal", "strict")

_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,127}\Z")
_NOT_IN_PROJECTS = re.compile(r"[^A-Za-z0-9 ._/-]+")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,16}\Z")
_MIN_SECRET_CHARS = 16


@dataclass(frozen=True, slots=True)
class Configuration:
    """A checked configuration. `keyring` holds (key ID, secret) pairs, the newest first."""

    url: str
    project: str
    api_key: str | None = field(default=None, repr=False)
    keyring: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    redact: tuple[Rule, ...] = ()
    spool: str | None = None
    durability: str = "normal"


def configuration(
    url: str | None = None,
    project: str | None = None,
    *,
    api_key: str | None = None,
    secret: str | None = None,
    redact: Iterable[Rule] = (),
    spool: str | None = None,
    durability: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Configuration:
    """What the arguments and the environment say.

    Raises:
        ConfigError: a value is not usable; the message names it.
    """
    url = url or environment.get("AFTERWORD_URL") or DEFAULT_URL
    project = project or environment.get("AFTERWORD_PROJECT") or DEFAULT_PROJECT
    if type(url) is not str:
        raise ConfigError(f"url must be text, not {type(url).__name__}")
    if isinstance(redact, (str, re.Pattern)) or callable(redact):
        raise ConfigError("redact is a list of rules, not a single one")
    spool = spool or environment.get("AFTERWORD_SPOOL") or None
    if spool is not None and (type(spool) is not str or "\0" in spool):
        raise ConfigError("AFTERWORD_SPOOL must be the path of a folder")
    durability = durability or environment.get("AFTERWORD_DURABILITY") or DURABILITIES[0]
    if durability not in DURABILITIES:
        known = " or ".join(DURABILITIES)
        raise ConfigError(f"AFTERWORD_DURABILITY must be {known}; got {durability!r:.100}")
    return Configuration(
        url=url,
        project=check_project(project),
        api_key=api_key or environment.get("AFTERWORD_API_KEY") or None,
        keyring=_keyring(secret or environment.get("AFTERWORD_SECRET") or ""),
        redact=tuple(redact),
        spool=spool,
        durability=durability,
    )


def check_project(project: object) -> str:
    """`project` itself when it may name a project.

    Raises:
        ConfigError: it may not.
    """
    if isinstance(project, str) and _PROJECT.match(project):
        return project
    raise ConfigError(
        f"project must be 1 to 128 characters of letters, digits, space . _ / -; got {project!r:.150}"
    )


def home_of(project: object, default: str) -> str:
    """`project` itself when it may name one, `default` when it is None.

    Raises:
        InvalidInput: it may not.
    """
    if project is None:
        return default
    try:
        return check_project(project)
    except ConfigError as error:
        raise InvalidInput(str(error), field="project") from None


def project_named(text: str) -> str | None:
    """The name of a project that is closest to any text; None when nothing of it may stand."""
    kept = _NOT_IN_PROJECTS.sub("-", text).lstrip(" ._/-")[:128].rstrip()
    return kept or None


def is_disabled(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether AFTERWORD_DISABLED makes decorators pass through."""
    return environment.get("AFTERWORD_DISABLED", "").lower() not in ("", "0", "false", "no")


def _keyring(text: str) -> tuple[tuple[str, bytes], ...]:
    keys: list[tuple[str, bytes]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key_id, colon, secret = part.partition(":")
        if not colon or not _KEY_ID.match(key_id) or len(secret) < _MIN_SECRET_CHARS:
            raise ConfigError(
                "AFTERWORD_SECRET is a comma-separated list of kid:secret, newest first; a kid is 1 to "
                f"16 of A-Za-z0-9_- and a secret has at least {_MIN_SECRET_CHARS} characters"
            )
        keys.append((key_id, secret.encode()))
    if len({key_id for key_id, _ in keys}) != len(keys):
        raise ConfigError("AFTERWORD_SECRET names a key ID twice")
    return tuple(keys)
