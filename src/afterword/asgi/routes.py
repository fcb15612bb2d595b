"""The helper routes: the one part of a user's system that strangers write to (layer 5).

``POST /``, ``POST /mine``, ``GET /afterword.js`` and the page of one-tap links, below whatever path
they are mounted at. The token is the only authority; nothing is written by GET.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from afterword.asgi.bodies import feedback_entries, json_body, token_list
from afterword.asgi.browser import module_source
from afterword.asgi.limits import Limits, Rates, address_of
from afterword.asgi.links import TapPage
from afterword.asgi.origins import check_origin, check_origins, cors_headers, first_headers
from afterword.asgi.refusals import Refused, json_response
from afterword.asgi.tokens import Claims, Keyring, read, subject_of
from afterword.client import Client
from afterword.codec import from_json
from afterword.context import current_trail
from afterword.default import default_client
from afterword.errors import DeliveryError, InvalidInput, StoreError, TokenRejected
from afterword.feedback.current import current

_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_UNKEYED = "no feedback secret is configured: set AFTERWORD_SECRET to kid:secret on this server"

Answer = Callable[[Request], Awaitable[Response]]


def feedback_routes(
    origins: Sequence[str] = (),
    limits: Limits | None = None,
    client: Client | None = None,
) -> list[Route]:
    """Routes to mount, usually at ``/feedback``.

    `origins` lists the other sites whose pages may post here, exactly, scheme and port included.
    `limits` replaces the default limits; `client` the default client.

    Raises:
        ConfigError: an origin is not one.
    """
    return FeedbackRoutes(check_origins(origins), limits or Limits(), client).routes()


def feedback_app(
    origins: Sequence[str] = (),
    limits: Limits | None = None,
    client: Client | None = None,
) -> Starlette:
    """The same routes as an ASGI app, for frameworks that mount apps."""
    return Starlette(routes=feedback_routes(origins, limits, client))


class _HomeRoute(Route):
    """The mount path itself. Frameworks that take all of it off pass on an empty path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and scope["path"] == scope.get("root_path", ""):
            scope = {**scope, "path": f"{scope['path']}/"}
        return super().matches(scope)


class FeedbackRoutes:
    """What is behind the routes: one set of origins, limits and counts. For one event loop."""

    def __init__(
        self,
        origins: frozenset[str],
        limits: Limits,
        client: Client | None,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._origins = origins
        self._limits = limits
        self._client = client
        self._rates = Rates(clock_s)
        self._now_s = now_s
        self._tap_page = TapPage(lambda: self.client, limits, self._rates, now_s)

    def routes(self) -> list[Route]:
        return [
            _HomeRoute("/", partial(self.answered, self.give), methods=_METHODS),
            Route("/mine", partial(self.answered, self.mine), methods=_METHODS),
            Route("/afterword.js", self.script, methods=["GET"]),
            Route("/tap/{token}", self._tap_page.answered, methods=_METHODS),
        ]

    @property
    def client(self) -> Client:
        return self._client or default_client()

    async def answered(self, answer: Answer, request: Request) -> Response:
        """The answer, or the refusal as JSON, with the headers both carry."""
        headers = first_headers(request)
        try:
            if request.method not in ("POST", "OPTIONS"):
                raise Refused(405, "only POST is taken here", headers={"Allow": "POST, OPTIONS"})
            check_origin(request, self._origins, headers)
            if request.method == "OPTIONS":
                response = Response(status_code=204)
            else:
                response = await answer(request)
        except Refused as refusal:
            response = refusal.response()
        except ClientDisconnect:
            return Response(status_code=400)
        except (DeliveryError, StoreError) as error:
            self.client.faults.note("the feedback route", error)
            response = _away().response()
        response.raw_headers.extend(_HEADERS)
        origin = headers.get("origin")
        if origin is not None and origin in self._origins:
            response.headers.update(cors_headers(origin))
        elif self._origins:
            response.headers["Vary"] = "Origin"
        return response

    async def give(self, request: Request) -> Response:
        body = await json_body(request, self._limits)
        token = body.get("token")
        if not isinstance(token, str):
            raise Refused(422, "token is missing", "token")
        entries = feedback_entries(body, self._limits)
        listed = "feedback" in body
        claims = self._claims(token, await self._keyring())
        if claims is None:
            raise _forbidden()
        for index, entry in enumerate(entries):
            if entry.setdefault("data_id", claims.data_ids[0]) not in claims.data_ids:
                raise _forbidden()
            if claims.types is not None and entry["type"] not in claims.types:
                known = ", ".join(claims.types)
                where = _where(index if listed else None, "type")
                raise Refused(422, f"this token allows feedback of type: {known}", where)
        self._check_rates(request, claims, {entry["data_id"] for entry in entries})
        try:
            kept = await self.client.rate(
                entries,
                listed=listed,
                project=claims.project,
                subject=claims.subject,
                bound=claims.bound,
                user=self._user(claims),
                issued_s=claims.issued_s,
            )
        except InvalidInput as error:
            raise Refused(422, str(error), _where(error.index, error.field or "feedback")) from None
        replies = [
            {"id": row.id, "data_id": row.data_id, "type": row.type, "value": row.value}
            for row in kept
        ]
        return json_response({"feedback": replies}, 202)

    async def mine(self, request: Request) -> Response:
        body = await json_body(request, self._limits)
        tokens = token_list(body, self._limits)
        self._check_rate("address", address_of(request, self._limits), self._limits.per_address)
        keyring = await self._keyring()
        found = [self._claims(token, keyring) for token in tokens]
        claims = [claim for claim in found if claim is not None]
        return json_response(await anyio.to_thread.run_sync(self._said, claims))

    def _said(self, claims: list[Claims]) -> dict[str, dict[str, Any]]:
        """What each token's rater has said, by data ID and type."""
        out: dict[str, dict[str, Any]] = {}
        for claim in claims:
            user = self._user(claim)
            for data_id in claim.data_ids:
                said = out.setdefault(data_id, {})
                home = self.client.desk.place_of(data_id, claim.project) or claim.project
                history = self.client.store.history([data_id], home)
                mine = [
                    row
                    for row in history
                    if row.subject == claim.subject or (user is not None and row.rater == user)
                ]
                for row in current(mine):
                    value = from_json(row.value or "null")
                    if not row.several:
                        said[row.type] = value
                    elif value not in said.setdefault(row.type, []):
                        said[row.type].append(value)
        return out

    def _claims(self, token: str, keyring: Keyring) -> Claims | None:
        """The claims of a token that is valid for whoever posts; None for every other one."""
        try:
            claims = read(token, keyring, now_s=int(self._now_s()))
        except TokenRejected:
            return None
        trail = current_trail()
        named = None if trail is None else trail.user
        if named is None or not claims.bound:
            return claims
        is_theirs = subject_of(keyring, claims.key_id, "user", named) == claims.subject
        return claims if is_theirs else None

    @staticmethod
    def _user(claims: Claims) -> str | None:
        trail = current_trail()
        return trail.user if trail is not None and claims.bound else None

    async def _keyring(self) -> Keyring:
        client = self.client
        if client.has_keyring:
            keyring = client.keyring()
        else:
            keyring = await anyio.to_thread.run_sync(client.keyring)
        if not keyring:
            raise _away() if client.store.is_local else Refused(503, _UNKEYED)
        return keyring

    def _check_rates(self, request: Request, claims: Claims, data_ids: set[str]) -> None:
        # The address comes last: made-up ones must not push known tokens out of memory.
        token = f"{claims.subject}{claims.issued_s}{claims.data_ids[0]}"
        self._check_rate("token", token, self._limits.per_token)
        for data_id in data_ids:
            self._check_rate("generation", data_id, self._limits.per_generation)
        self._check_rate("address", address_of(request, self._limits), self._limits.per_address)

    def _check_rate(self, kind: str, key: str | None, per_minute: int) -> None:
        wait_s = 0.0 if key is None else self._rates.wait_s(kind, key, per_minute)
        if wait_s:
            raise Refused.for_now(wait_s)

    async def script(self, request: Request) -> Response:
        source, etag = _script()
        headers = {
            "Cache-Control": "public, max-age=300",
            "ETag": etag,
            "X-Content-Type-Options": "nosniff",
        }
        origin = request.headers.get("origin")
        if origin in self._origins:
            headers["Access-Control-Allow-Origin"] = str(origin)
        if self._origins:
            headers["Vary"] = "Origin"
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(source, media_type="text/javascript", headers=headers)


def _where(index: int | None, field: str) -> str:
    return field if index is None else f"feedback[{index}].{field}"


def _forbidden() -> Refused:
    return Refused(403, "this token does not allow it")


def _away() -> Refused:
    detail = "the feedback could not be kept just now; try again"
    return Refused(503, detail, headers={"Retry-After": "2"})


@lru_cache(maxsize=1)
def _script() -> tuple[bytes, str]:
    source = module_source().encode()
    return source, f'"{hashlib.sha256(source).hexdigest()[:16]}"'
