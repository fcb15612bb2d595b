"""Who mints tokens for a trail, and the ways to hand one to a client (layer 5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import msgspec

from afterword.asgi.tokens import (
    DEFAULT_TTL_S,
    MAX_DATA_IDS,
    Keyring,
    mint,
    random_bytes,
    subject_bytes,
)
from afterword.client import Client
from afterword.context import Trail, current_trail
from afterword.default import default_client
from afterword.errors import InvalidInput, NoGenerationInContext


class Issuer:
    """Mints tokens with one client's keyring. Safe from any thread."""

    def __init__(
        self,
        client: Client | None = None,
        *,
        ttl_s: int = DEFAULT_TTL_S,
        types: Sequence[str] | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._ttl_s = ttl_s
        self._types = types
        self._now_s = now_s

    @property
    def client(self) -> Client:
        """The client given, else the default one."""
        return self._client or default_client()

    def token(self, trail: Trail, data_id: str) -> str | None:
        """A token for `data_id` and the trail's other generations; None when there is no secret.

        May block the first time, to read the secret from the store.
        """
        client = self.client
        keyring = client.keyring()
        if not keyring:
            return None
        subject, bound = _subject(trail, keyring)
        known = trail.data_ids
        others = (
            [other for other in reversed(known[-MAX_DATA_IDS:]) if other != data_id]
            if len(known) > 1
            else ()
        )
        try:
            return mint(
                keyring,
                client.desk.noted_place(data_id),
                (data_id, *others),
                subject=subject,
                bound=bound,
                types=self._types,
                now_s=int(self._now_s()),
                ttl_s=self._ttl_s,
            )
        except InvalidInput as error:
            client.faults.note("minting a token", error)
            return None


def _subject(trail: Trail, keyring: Keyring) -> tuple[bytes, bool]:
    """Who will rate, and whether that is a user whose name is known."""
    user = None if trail._user is None else trail.user
    if user is not None:
        return subject_bytes(keyring[0][1], "user", user), True
    if trail.subject is None:
        session = None if trail._session is None else trail.session
        trail.subject = (
            random_bytes() if session is None else subject_bytes(keyring[0][1], "session", session)
        )
    return trail.subject, False


_ISSUER: ContextVar[Issuer | None] = ContextVar("afterword_issuer", default=None)

#: The issuer of the middleware around here. It is read further down only, so a plain value does.
get_issuer = _ISSUER.get
set_issuer = _ISSUER.set


def handle() -> dict[str, str | None]:
    """``{"data_id": ..., "token": ...}`` of the trail open here, for a JSON body or a message.

    The data ID is that of the generation that runs or ran last; before the first one, the one it
    will have. The token is None when there is no secret to sign it with.

    Raises:
        NoGenerationInContext: there is no trail: open one, or mount the middleware.
    """
    trail = current_trail()
    if trail is None:
        raise NoGenerationInContext(
            "no trail is open here; mount FeedbackMiddleware or open trail()"
        )
    data_id = trail.upcoming or trail.last or trail.reserve()
    issuer = get_issuer() or Issuer()
    return {"data_id": data_id, "token": issuer.token(trail, data_id)}


def sse_event() -> str:
    """A complete ``event: afterword`` frame of a server-sent event stream, holding `handle()`.

    Raises:
        NoGenerationInContext: there is no trail: open one, or mount the middleware.
    """
    return f"event: afterword\ndata: {msgspec.json.encode(handle()).decode()}\n\n"
