"""The user's running app: from one call of it to feedback in the store (layer 6)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx

from afterword.asgi.heads import DATA_ID_HEADER, TOKEN_HEADER
from afterword.cli.doctor.findings import Broken, Findings
from afterword.client import Client
from afterword.errors import AfterwordError
from afterword.stores.protocol import Query

__all__ = ["AppUnderTest", "check_app"]

_TIMEOUT_S = 60.0
_BODY_BYTES = 1_000_000
_SEEN_WITHIN_S = 2.0
_LOOKS = 20


@dataclass(frozen=True, slots=True)
class AppUnderTest:
    """One endpoint of an app that makes a generation, and where its feedback routes are."""

    url: str
    method: str = "GET"
    body: str | None = None
    feedback_path: str = "/feedback"
    origin: str | None = None

    @property
    def feedback_url(self) -> str:
        return urljoin(self.url, self.feedback_path).rstrip("/") + "/"


def check_app(
    app: AppUnderTest, client: Client, findings: Findings, http: httpx.Client | None = None
) -> None:
    """Call the app, give feedback on what it answered, read it back, and retract it.

    Raises:
        Broken: the first link that does not hold.
    """
    with http or httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as opened:
        started_at = time.time()
        with findings.trying("app"):
            headers = _call(app, opened)
            findings.add("app", f"{app.method} {app.url} answered")
        with findings.trying("data ID"):
            data_id = _data_id(headers, client, started_at)
            findings.add("data ID", data_id)
        with findings.trying("token"):
            token = _token(app, headers, opened)
            findings.add("token", f"{len(token)} characters")
        if app.origin is not None:
            with findings.trying("CORS"):
                _cors(app, headers, opened)
                findings.add("CORS", f"pages of {app.origin} may post and read the headers")
        with findings.trying("feedback"):
            _give(app, opened, token, data_id, "good")
            findings.add("feedback", f"rating: good taken at {app.feedback_url}")
        try:
            with findings.trying("read back"):
                _read_back(app, opened, token, data_id)
                findings.add("read back", "the rater sees the rating")
            with findings.trying("in this store"):
                _in_store(client, data_id)
                findings.add("in this store", "the generation has the rating")
        finally:
            with findings.trying("retracted"):
                _give(app, opened, token, data_id, None)
                findings.add("retracted", "the rating is taken back")


def _call(app: AppUnderTest, http: httpx.Client) -> httpx.Headers:
    headers = {"Content-Type": "application/json"} if app.body is not None else {}
    if app.origin is not None:
        headers["Origin"] = app.origin
    try:
        with http.stream(app.method, app.url, content=app.body, headers=headers) as response:
            size_bytes = 0
            for piece in response.iter_raw():
                size_bytes += len(piece)
                if size_bytes > _BODY_BYTES:
                    break
    except httpx.InvalidURL as error:
        raise Broken(f"{app.url} is no URL: {error}") from error
    except httpx.HTTPError as error:
        raise Broken(f"{app.url} does not answer: {error or type(error).__name__}") from error
    if response.status_code in (404, 405, 415, 422):
        raise Broken(
            f"{app.url} answered {response.status_code}; name an endpoint that makes a generation, "
            "with --method and --json as it wants them"
        )
    if response.status_code >= 300:
        raise Broken(f"{app.url} answered {response.status_code}; mend that first")
    return response.headers


def _data_id(headers: httpx.Headers, client: Client, started_at: float) -> str:
    data_id = headers.get(DATA_ID_HEADER)
    if data_id is not None:
        return str(data_id)
    if TOKEN_HEADER in headers:
        raise Broken(
            f"{DATA_ID_HEADER} was stripped on the way, for {TOKEN_HEADER} arrived; see your proxy"
        )
    if _came_since(client, started_at):
        raise Broken(
            f"a generation was recorded and the answer carries no {DATA_ID_HEADER}: FeedbackMiddleware is "
            "missing around this endpoint, or a proxy strips its headers"
        )
    raise Broken(
        f"the answer carries no {DATA_ID_HEADER} and no generation came to {client.store.url}: the "
        "endpoint calls no decorated function, FeedbackMiddleware is missing, or the app writes to "
        "another store (AFTERWORD_URL)"
    )


def _came_since(client: Client, started_at: float) -> bool:
    """Whether a generation arrives in the store that was made since then. Waits a little for it."""
    wanted = Query(since=int(started_at * 1_000_000), limit=1)
    for _ in range(_LOOKS):
        try:
            if client.store.generations(wanted):
                return True
        except AfterwordError:
            return False
        time.sleep(_SEEN_WITHIN_S / _LOOKS)
    return False


def _token(app: AppUnderTest, headers: httpx.Headers, http: httpx.Client) -> str:
    token = headers.get(TOKEN_HEADER)
    if token is not None:
        return str(token)
    if _post(http, app.feedback_url, {"token": "none", "type": "rating", "value": "good"}) == 503:
        raise Broken(
            "the app has no secret to sign tokens with: set AFTERWORD_SECRET to kid:secret"
        )
    raise Broken(
        f"{TOKEN_HEADER} was stripped on the way, for {DATA_ID_HEADER} arrived; see your proxy"
    )


def _cors(app: AppUnderTest, headers: httpx.Headers, http: httpx.Client) -> None:
    exposed = headers.get("Access-Control-Expose-Headers", "").lower()
    if headers.get("Access-Control-Allow-Origin") not in (app.origin, "*"):
        raise Broken(f"{app.url} does not allow {app.origin}: add it to the app's CORSMiddleware")
    if TOKEN_HEADER.lower() not in exposed and exposed != "*":
        raise Broken(
            f"{app.url} does not expose {TOKEN_HEADER} to scripts: FeedbackMiddleware must be outside "
            "of what sets Access-Control-Expose-Headers"
        )
    preflight = {
        "Origin": str(app.origin),
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = http.options(app.feedback_url, headers=preflight)
    if answer.headers.get("Access-Control-Allow-Origin") != app.origin:
        raise Broken(_unlisted(app))


def _unlisted(app: AppUnderTest) -> str:
    return (
        f"{app.feedback_url} does not allow {app.origin}: list it in feedback_routes(origins=...)"
    )


def _give(
    app: AppUnderTest, http: httpx.Client, token: str, data_id: str, value: str | None
) -> None:
    entry = {"token": token, "data_id": data_id, "type": "rating", "value": value}
    status = _post(http, app.feedback_url, entry, app.origin)
    if status == 202:
        return
    if status == 403 and app.origin is not None and _post(http, app.feedback_url, entry) == 202:
        raise Broken(_unlisted(app))
    reasons = {
        404: "feedback_routes() are not mounted there; say where with --feedback",
        405: "feedback_routes() are not mounted there; say where with --feedback",
        403: "the token was refused: every worker needs the same AFTERWORD_SECRET or store, and the "
        "middleware must name the same user on both requests",
        422: "rating: good was refused; does the middleware limit `types`?",
        429: "the limit of feedback for this address is reached; try again later",
        503: "the app cannot write feedback: its store is away, or it has no AFTERWORD_SECRET",
    }
    raise Broken(f"{app.feedback_url} answered {status}: {reasons.get(status, 'see its log')}")


def _read_back(app: AppUnderTest, http: httpx.Client, token: str, data_id: str) -> None:
    answer = http.post(f"{app.feedback_url}mine", json={"tokens": [token]}, headers=_origin(app))
    if answer.status_code == 503:
        raise Broken(
            "the app cannot read its store, which is away; the rating waits in the app's spool"
        )
    try:
        said: Any = answer.json()
        rating = said[data_id]["rating"]
    except (ValueError, KeyError, TypeError):
        rating = None
    if rating != "good":
        raise Broken(
            f"{app.feedback_url}mine does not tell the rating that was just taken; if the app's store "
            "takes no writes now, it waits in the app's spool"
        )


def _in_store(client: Client, data_id: str) -> None:
    try:
        generation = client.get(data_id)
    except AfterwordError as error:
        raise Broken(f"the store is away: {error}") from error
    if generation is None or not any(said.type == "rating" for said in generation.feedback):
        raise Broken(
            f"{client.store.url} does not have it: the app writes to another store (AFTERWORD_URL)"
        )


def _post(http: httpx.Client, url: str, entry: dict[str, Any], origin: str | None = None) -> int:
    headers = {} if origin is None else {"Origin": origin}
    try:
        return http.post(url, json=entry, headers=headers).status_code
    except httpx.HTTPError as error:
        raise Broken(f"{url} does not answer: {error or type(error).__name__}") from error


def _origin(app: AppUnderTest) -> dict[str, str]:
    return {} if app.origin is None else {"Origin": app.origin}
