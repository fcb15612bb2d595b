"""The default client of the process, and its methods as module functions (layer 3)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, overload

from afterword.client import Client
from afterword.delivery import lifetimes
from afterword.model import Feedback, Generation, Status
from afterword.redaction import Rule

_CHANGE_FLUSH_S = 2.0

_default: Client | None = None
_default_lock = threading.Lock()


def _in_child() -> None:
    """Another thread of the parent may have had the lock."""
    global _default_lock
    _default_lock = threading.Lock()


lifetimes.call_after_fork(_in_child)


def configure(
    url: str | None = None,
    project: str | None = None,
    *,
    api_key: str | None = None,
    secret: str | None = None,
    redact: Iterable[Rule] = (),
    spool: str | None = None,
    durability: str | None = None,
) -> Client:
    """Make the default client, which decorators and module functions use, and return it.

    Takes what `Client` takes. The default client before it is flushed.

    Raises:
        ConfigError: an argument or an environment variable is not usable.
    """
    global _default
    client = Client(
        url,
        project,
        api_key=api_key,
        secret=secret,
        redact=redact,
        spool=spool,
        durability=durability,
    )
    with _default_lock:
        before, _default = _default, client
    if before is not None:
        before.flush(_CHANGE_FLUSH_S)
    return client


def default_client() -> Client:
    """The default client; made from the environment when `configure` was not called.

    Raises:
        ConfigError: an environment variable is not usable.
    """
    global _default
    if _default is not None:
        return _default
    with _default_lock:
        if _default is None:
            _default = Client()
        return _default


@overload
def feedback(
    data_id: str | None = None,
    type: str | None = None,
    value: Any = None,
    *,
    user: str | None = None,
    source: str | None = None,
    comment: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    created_at: datetime | str | float | None = None,
    unset: bool = False,
) -> Feedback: ...


@overload
def feedback(data_id: Iterable[Mapping[str, Any]]) -> list[Feedback]: ...


def feedback(data_id: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Record feedback with the default client; see `Client.feedback`."""
    return default_client().feedback(data_id, *args, **kwargs)


@overload
async def afeedback(
    data_id: str | None = None,
    type: str | None = None,
    value: Any = None,
    *,
    user: str | None = None,
    source: str | None = None,
    comment: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    created_at: datetime | str | float | None = None,
    unset: bool = False,
) -> Feedback: ...


@overload
async def afeedback(data_id: Iterable[Mapping[str, Any]]) -> list[Feedback]: ...


async def afeedback(data_id: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The awaitable twin of `feedback`; the event loop is not blocked."""
    return await default_client().afeedback(data_id, *args, **kwargs)


def log(
    project: str | None = None,
    inputs: Any = None,
    output: Any = None,
    *,
    messages: Any = None,
    name: str | None = None,
    version: str | None = None,
    model: str | None = None,
    provider: str | None = None,
    usage: Mapping[str, Any] | None = None,
    cost_usd: float | None = None,
    error: BaseException | str | Mapping[str, str] | None = None,
    duration_s: float | None = None,
    created_at: datetime | str | float | None = None,
    data_id: str | None = None,
    parent_id: str | None = None,
    user: str | None = None,
    session: str | None = None,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
    feedback: Any = None,
) -> str:
    """Log a generation by hand with the default client; see `Client.log`."""
    return default_client().log(**locals())


def get(data_id: str) -> Generation | None:
    """Read a generation back with the default client; see `Client.get`."""
    return default_client().get(data_id)


async def aget(data_id: str) -> Generation | None:
    """The awaitable twin of `get`."""
    return await default_client().aget(data_id)


def flush(timeout_s: float | None = None) -> bool:
    """Wait until everything the default client captured so far is durable; see `Client.flush`."""
    return default_client().flush(timeout_s)


async def aflush(timeout_s: float | None = None) -> bool:
    """The awaitable twin of `flush`."""
    return await default_client().aflush(timeout_s)


def status() -> Status:
    """Where every record captured by the default client is now; see `Client.status`."""
    return default_client().status()
