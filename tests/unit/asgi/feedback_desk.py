"""The routes mounted behind the middleware, with a clock to move and tokens to post with."""

from __future__ import annotations

import json
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from afterword import Client, Generation
from afterword.asgi import FeedbackMiddleware, Limits, tokens
from afterword.asgi.routes import FeedbackRoutes
from afterword.ids import new_id

NOW_S = 1_790_000_000


UNLIMITED = Limits(per_token=0, per_generation=0, per_address=0)


class Clock:
    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def claims(client: Client, token: object) -> tokens.Claims:
    """What a token says that is valid at that time."""
    return tokens.read(token, client.keyring(), now_s=NOW_S)


class Desk:
    """The routes mounted at /feedback, a clock to move, and tokens to post with."""

    def __init__(
        self,
        client: Client,
        limits: Limits = UNLIMITED,
        origins: frozenset[str] = frozenset(),
        user: str | None = None,
    ) -> None:
        self.client = client
        self.clock = Clock(1000.0)
        self.now = Clock(NOW_S)
        self.user = user
        self.script = FeedbackRoutes(
            origins, limits, client, clock_s=self.clock, now_s=self.now
        ).routes()
        app = Starlette(routes=[Mount("/feedback", routes=self.script)])
        self.app = FeedbackMiddleware(app, client=client, user=lambda scope: self.user)
        self.http = TestClient(self.app, base_url="https://site.example")

    def token(self, *data_ids: str, user: str | None = None, **options: Any) -> str:
        ring = self.client.keyring()
        subject = (
            tokens.random_subject()
            if user is None
            else tokens.subject_of(ring, ring[0][0], "user", user)
        )
        assert subject is not None
        options = {"subject": subject, "bound": user is not None, "now_s": NOW_S, **options}
        return tokens.mint(ring, "web", data_ids or (new_id(),), **options)

    def post(self, path: str = "/feedback/", **body: Any) -> Any:
        return self.http.post(
            path,
            content=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            follow_redirects=False,
        )

    def mine(self, *given: str) -> Any:
        response = self.post("/feedback/mine", tokens=list(given))
        assert response.status_code == 200, response.text
        return response.json()

    def kept(self, data_id: str) -> Generation:
        found = self.client.get(data_id)
        assert found is not None
        return found


def forbidden(desk: Desk, token: str, **entry: Any) -> bytes:
    response = desk.post(token=token, **{"type": "rating", "value": "good", **entry})
    assert response.status_code == 403
    return bytes(response.content) + repr(sorted(response.headers.items())).encode()


LISTED = "https://app.example.com"
