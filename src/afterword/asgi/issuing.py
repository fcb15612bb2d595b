"""Who mints tokens for a trail, and the ways to hand one to a client (layer 5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import msgspec

from afterword.asgi.tickets import Tickets
from afterword.asgi.tokens import (
    DEFAULT_TTL_S,
    MAX_DATA_IDS,
    press_of,
    random_bytes,
    subject_bytes,
)
from afterword.client import Client
from afterword.context import Trail, current_trail
from afterword.default import default_client
from afterword.errors import InvalidInput, NoGenerationInContext
from afterword.ids import new_id

#: Tokens that last less than this are made when they are given, so that none has lost much of its time.
_LASTING_S = 600


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
        self._types = None if types is None else tuple(types)
        self._now_s = now_s
        #: The client that was seen to have its secrets at hand.
        self._ready: Client | None = None
        self._tickets: Tickets | None = None

    @property
    def is_ready(self) -> bool:
        """Whether `token` will answer at once."""
        client = self._client or default_client()
        if self._ready is client:
            return True
        if client.has_keyring:
            self._ready = client
            return True
        return False

    @property
    def client(self) -> Client:
        """The client given, else the default one."""
        return self._client or default_client()

    @property
    def draws(self) -> bool:
        """Whether `draw` may find a token that was made ahead."""
        return self._ttl_s >= _LASTING_S

    def draw(self, trail: Trail) -> str:
        """A data ID for a trail of someone nobody knows, with its token if one was made ahead. Never raises."""
        if trail.subject is None:
            try:
                tickets = self._tickets
                if tickets is None or tickets.client is not (self._client or default_client()):
                    self._tickets = tickets = self._stocked()
                ticket = None if tickets is None else tickets.draw(int(self._now_s()))
                if ticket is not None:
                    trail.ticket, trail.subject = ticket, ticket[1]
                    return ticket[0]
            except Exception:
                pass  # what is wrong is told when the token is asked for
        return new_id()

    def _stocked(self) -> Tickets | None:
        client = self.client
        if not self.is_ready or not client.keyring():
            return None
        press = press_of(*client.keyring()[0], client.project, self._types)
        return Tickets(client, press, self._ttl_s)

    def token(self, trail: Trail, data_id: str) -> str | None:
        """A token for `data_id` and the trail's other generations; None when there is no secret.

        May block the first time, to read the secret from the store.
        """
        ticket = trail.ticket
        if ticket is not None and ticket[0] == data_id and ticket[3] is self._tickets:
            if not trail.data_ids or trail.data_ids == [data_id]:
                return str(ticket[2])
        client = self._client or default_client()
        keyring = client.keyring()
        if not keyring:
            return None
        key_id, secret = keyring[0]
        user = None if trail._user is None else trail.user
        bound = user is not None
        if user is not None:
            subject = subject_bytes(secret, "user", user)
        else:
            subject = trail.subject or _anonymous(trail, secret)
        data_ids = trail.data_ids
        if len(data_ids) != 1 or data_ids[0] != data_id:
            others = reversed(data_ids[-MAX_DATA_IDS:])
            data_ids = [data_id, *(other for other in others if other != data_id)]
        try:
            press = press_of(key_id, secret, client.desk.noted_place(data_id), self._types)
            return press.mint(data_ids, subject, bound, int(self._now_s()), self._ttl_s)
        except InvalidInput as error:
            client.faults.note("minting a token", error)
            return None


def _anonymous(trail: Trail, secret: bytes) -> bytes:
    """Who will rate, as far as that is known: a session, or somebody."""
    session = None if trail._session is None else trail.session
    subject = random_bytes() if session is None else subject_bytes(secret, "session", session)
    trail.subject = subject
    return subject


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
