"""What the tests of the API do all the time: make a key, post, and look at how it was refused."""

from __future__ import annotations

import json
from typing import Any

from starlette.testclient import TestClient

from afterword.client import Client
from afterword.server import create_app
from afterword.server.keys import create_key

API = "/api/v1"
JSON = {"Content-Type": "application/json"}


def api(client: Client, **options: Any) -> TestClient:
    return TestClient(create_app(client, **options), raise_server_exceptions=False)


def headers(client: Client, *scopes: str, project: str | None = "bot") -> dict[str, str]:
    """The header of a new key. Make it before the app is asked: it sees new keys within a second."""
    text, _ = create_key(client.store, project=project, scopes=scopes)
    return {"Authorization": f"Bearer {text}"}


def post_generations(web: TestClient, *generations: Any, **options: Any) -> Any:
    return web.post(f"{API}/generations", json={"generations": list(generations)}, **options)


def post_feedback(web: TestClient, *feedback: Any, **options: Any) -> Any:
    return web.post(f"{API}/feedback", json={"feedback": list(feedback)}, **options)


def refusal(response: Any) -> tuple[int, list[str]]:
    """The status, and the fields that are named; the form of every failure is checked."""
    body = response.json()
    assert set(body) == {"detail", "errors"}
    assert body["detail"]
    assert all(set(error) == {"field", "message"} for error in body["errors"])
    assert response.headers["x-content-type-options"] == "nosniff"
    return response.status_code, [error["field"] for error in body["errors"]]


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()
