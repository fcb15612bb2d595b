"""The helper routes: the one part of a user's system that strangers write to (layer 5).

``POST /``, ``POST /mine`` and ``GET /afterword.js``, below whatever path they are mounted at. The
token in the body is the only authority; nothing is written by GET.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from afterword.asgi.browser import module_source
from afterword.asgi.bodies import Refused, feedback_entries, json_body, token_list
from afterword.asgi.limits import Limits, Rates, address_of
from afterword.asgi.origins import allowed_origin, check_origins, cors_headers
from afterword.asgi.tokens import Claims, Keyring, read, subject_of
from afterword.client import Client, default_client
from afterword.codec import from_json
from afterword.context import current_trail
from afterword.errors import DeliveryError, InvalidInput, StoreError, TokenRejected
from afterword.feedback.current import current
from afterword.feedback.rows import FeedbackRow

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_NO_SECRET = "no feedback secret is configured: set AFTERWORD_SECRET to kid:secret on this server"

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
    desk = _Routes(check_origins(origins), limits or Limits(), client)
    return [
        Route("/", partial(desk.answered, desk.give), methods=["POST", "OPTIONS"]),
        Route("/mine", partial(desk.answered, desk.mine), methods=["POST", "OPTIONS"]),
        Route("/afterword.js", desk.script, methods=["GET"]),
    ]


def feedback_app(
    origins: Sequence[str] = (),
    limits: Limits | None = None,
    client: Client | None = None,
) -> Starlette:
    """The same routes as an ASGI app, for frameworks that mount apps."""
    return Starlette(routes=feedback_routes(origins, limits, client))


class _Routes:
    def __init__(self, origins: frozenset[str], limits: Limits, client: Client | None) -> None:
        self._origins = origins
        self._limits = limits
        self._client = client
        self._rates = Rates()

    @property
    def client(self) -> Client:
        return self._client or default_client()

    async def answered(self, answer: Answer, request: Request) -> Response:
        """The answer, or the refusal as JSON, with the headers both carry."""
        try:
            origin = allowed_origin(request, self._origins)
            if request.method == "OPTIONS":
                response: Response = Response(status_code=204)
            else:
                response = await answer(request)
        except Refused as refusal:
            origin = refusal.origin_of(request, self._origins)
            response = JSONResponse(refusal.body, refusal.status, refusal.headers)
        except ClientDisconnect:
            return Response(status_code=400)
        except (DeliveryError, StoreError) as error:
            origin = request.headers.get("origin")
            self.client.faults.note("the feedback route", error)
            body = {"detail": "the feedback could not be kept just now; try again"}
            response = JSONResponse(body, 503, {"Retry-After": "2"})
        response.headers.update(_HEADERS)
        if origin is not None and origin in self._origins:
            response.headers.update(cors_headers(origin))
        elif self._origins:
            response.headers["Vary"] = "Origin"
        return response

    async def give(self, request: Request) -> Response:
        body = await json_body(request, self._limits)
        token = body.get("token")
        if not isinstance(token, str) or not token:
            raise Refused(422, "token is missing", "token")
        entries = feedback_entries(body, self._limits)
        keyring = await self._keyring()
        claims = self._claims(token, keyring)
        if claims is None:
            raise _forbidden()
        for entry in entries:
            if entry.setdefault("data_id", claims.data_ids[0]) not in claims.data_ids:
                raise _forbidden()
            if claims.types is not None and entry["type"] not in claims.types:
                known = ", ".join(claims.types)
                raise Refused(422, f"this token allows feedback of type: {known}", "type")
            entry["source"] = "end_user"
        self._check_rates(request, claims, entries)
        user = self._user(claims)
        try:
            kept = await self.client.rate(
                entries,
                project=claims.project,
                subject=claims.subject,
                user=user,
                earliest_s=claims.issued_s,
            )
        except InvalidInput as error:
            raise Refused(422, str(error), error.field or "feedback") from None
        replies = [
            {"id": row.id, "data_id": row.data_id, "type": row.type, "value": row.value}
            for row in kept
        ]
        return JSONResponse({"feedback": replies}, 202)

    async def mine(self, request: Request) -> Response:
        body = await json_body(request, self._limits)
        tokens = token_list(body, self._limits)
        wait_s = self._rates.wait_s(
            "address", address_of(request, self._limits), self._limits.per_address
        )
        if wait_s:
            raise Refused.for_now(wait_s)
        keyring = await self._keyring()
        found = [self._claims(token, keyring) for token in tokens]
        claims = [claim for claim in found if claim is not None]
        return JSONResponse(await anyio.to_thread.run_sync(self._said, claims))

    def _said(self, claims: list[Claims]) -> dict[str, dict[str, Any]]:
        """What each token's rater has said, by data ID and type."""
        out: dict[str, dict[str, Any]] = {}
        for claim in claims:
            user = self._user(claim)
            rows = self.client.store.history(claim.data_ids)
            for data_id in claim.data_ids:
                out.setdefault(data_id, {})
            mine = [row for row in rows if row.subject == claim.subject or row.rater == user]
            for row in current(row for row in mine if row.project == _home(mine, claim)):
                value = from_json(row.value or "null")
                if row.several:
                    out[row.data_id].setdefault(row.type, []).append(value)
                else:
                    out[row.data_id][row.type] = value
        return out

    def _claims(self, token: object, keyring: Keyring) -> Claims | None:
        """The claims of a token that is valid for whoever posts; None for every other one."""
        try:
            claims = read(token, keyring, now_s=int(time.time()))
        except TokenRejected:
            return None
        trail = current_trail()
        named = None if trail is None else trail.user
        if named is not None and claims.bound:
            if subject_of(keyring, claims.key_id, "user", named) != claims.subject:
                return None
        return claims

    @staticmethod
    def _user(claims: Claims) -> str | None:
        trail = current_trail()
        return trail.user if trail is not None and claims.bound else None

    async def _keyring(self) -> Keyring:
        keyring = (
            await anyio.to_thread.run_sync(self.client.keyring)
            if not self._warm
            else (self.client.keyring())
        )
        if not keyring:
            raise Refused(503, _NO_SECRET)
        return keyring

    @property
    def _warm(self) -> bool:
        return self.client.has_keyring

    def _check_rates(self, request: Request, claims: Claims, entries: list[dict[str, Any]]) -> None:
        limits = self._limits
        keys = [
            ("address", address_of(request, limits), limits.per_address),
            ("token", f"{claims.subject}{claims.issued_s}{claims.data_ids[0]}", limits.per_token),
        ]
        named = {entry["data_id"] for entry in entries}
        keys += [("generation", data_id, limits.per_generation) for data_id in named]
        for kind, key, per_minute in keys:
            wait_s = self._rates.wait_s(kind, key, per_minute)
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


def _home(rows: list[FeedbackRow], claims: Claims) -> str:
    return rows[0].project if rows else claims.project


def _forbidden() -> Refused:
    return Refused(403, "this token does not allow it")


@lru_cache(maxsize=1)
def _script() -> tuple[bytes, str]:
    source = module_source().encode()
    return source, f'"{hashlib.sha256(source).hexdigest()[:16]}"'
