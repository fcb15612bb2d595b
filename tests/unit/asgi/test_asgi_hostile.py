"""Text of the app and of strangers that gets near our headers and our records."""

from __future__ import annotations

import json
import re
import statistics
import time
import uuid
from typing import Any

import anyio
import pytest
from feedback_desk import Desk, forbidden
from hypothesis import event, given, settings
from hypothesis import strategies as st
from raw_requests import ID, TOKEN, headers_of, respond
from starlette.types import Receive, Scope, Send

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware
from afterword.asgi.tokens import mint, random_subject, read
from afterword.errors import InvalidInput, TokenRejected
from afterword.ids import is_data_id, new_id

SAFE = re.compile(rb"[A-Za-z0-9._-]{1,400}\Z")
CORPUS = [
    "a\r\nX-Evil: 1", "a\nSet-Cookie: a=b", "a\x00b", "a\u2028b", "\u202ea", "é", "\ud800", "\x7f",
    "<script>alert(1)</script>", "\x1b]0;owned\x07", "=1+1", "a b", "a\tb", "%0d%0aX: 1", "a" * 5000,
]  # fmt: skip
_NOW_S = 1_790_000_000
anything = st.text(max_size=40) | st.sampled_from(CORPUS)


@pytest.fixture(scope="module")
def shared() -> Any:
    client = Client("memory:", project="web", secret="k1:0123456789abcdef0123456789abcdef")
    yield client
    client.close()


@settings(max_examples=150, deadline=None)
@given(user=anything, session=anything, data_id=anything, name=anything)
def test_no_text_of_the_app_gets_into_our_headers(
    shared: Client, user: str, session: str, data_id: str, name: str
) -> None:
    @afterword.generation(client=shared)
    def answer() -> str:
        return name

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with afterword.trail(data_id=data_id):
                answer()
        except InvalidInput:
            assert not is_data_id(data_id)
        answer()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hi"})

    wrapped = FeedbackMiddleware(
        app, client=shared, user=lambda scope: user, session=lambda scope: session
    )
    headers = headers_of(anyio.run(respond, wrapped))
    assert set(headers) == {ID, TOKEN}
    assert SAFE.match(headers[ID])
    assert SAFE.match(headers[TOKEN])


@pytest.mark.parametrize("text", CORPUS)
def test_an_id_from_outside_that_no_header_could_hold_is_refused(client: Client, text: str) -> None:
    if not is_data_id(text):
        with pytest.raises(InvalidInput):
            client.log(data_id=text, output="x")


STEERING = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "project=evil",
    "baggage": "afterword.project=evil,user=eve",
    "afterword-data-id": "evil",
    "afterword-feedback-token": "evil",
    "afterword-project": "evil",
    "x-afterword-project": "evil",
    "x-project": "evil",
    "x-user": "eve",
    "x-forwarded-user": "eve",
    "remote-user": "eve",
    "authorization": "Bearer eve",
    "cookie": "user=eve; afterword=evil",
    "langsmith-project": "evil",
    "x-api-key": "evil",
}


@pytest.mark.anyio
async def test_no_header_of_a_request_steers_what_is_recorded(client: Client) -> None:
    @afterword.generation(client=client)
    def answer() -> str:
        return "hi"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answer()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hi"})

    given = [(name.encode(), value.encode()) for name, value in STEERING.items()]
    headers = headers_of(await respond(FeedbackMiddleware(app, client=client), headers=given))
    kept = client.get(headers[ID].decode())
    assert kept is not None
    assert uuid.UUID(kept.id).version == 7
    found = (kept.project, kept.user, kept.session, kept.parent_id, kept.trace_id)
    assert found == ("web", None, None, None, None)
    assert not kept.metadata
    assert not kept.inputs


def test_no_body_can_name_another_project(desk: Desk) -> None:
    data_id = new_id()
    for more in ({"project": "other"}, {"user": "eve"}, {"subject": "eve"}, {"source": "code"},
                 {"id": "x"}):  # fmt: skip
        response = desk.post(token=desk.token(data_id), type="rating", value="good", **more)
        assert response.status_code == 422
        entry = {"type": "rating", "value": "good", **more}
        assert desk.post(token=desk.token(data_id), feedback=[entry]).status_code == 422
    assert desk.client.get(data_id) is None


leaf = (
    st.none() | st.booleans() | st.integers() | st.floats() | anything
    | st.sampled_from(["rating", "good", "issue", "correction", "offensive", "action", "stars", "9" * 400])
)  # fmt: skip
tree = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ("token", "type", "value", "comment", "metadata", "data_id", "created_at", "unset",
          "feedback", "tokens", "other")  # fmt: skip
anyhow = st.dictionaries(st.sampled_from(FIELDS), tree, max_size=6)
nearly = st.fixed_dictionaries(
    {"type": st.sampled_from(["rating", "issue", "action", "comment", "correction"]) | leaf,
     "value": st.sampled_from(["good", "bad", "offensive", "copied", None]) | tree},
    optional={"comment": leaf, "metadata": tree, "unset": leaf, "created_at": leaf},
)  # fmt: skip
sound = st.fixed_dictionaries(
    {"type": st.just("rating"), "value": st.sampled_from(["good", "bad", None, True])},
    optional={"comment": anything},
)
entries = sound | nearly | anyhow


@settings(max_examples=400, deadline=None)
@given(
    path=st.sampled_from(["", "mine"]),
    body=entries | st.lists(entries, max_size=3) | tree | st.binary(max_size=300),
    with_token=st.sampled_from([True, True, False]),
    content_type=st.sampled_from(["application/json"] * 9 + ["text/plain", "a/b;c=", ""]),
)
def test_no_body_makes_a_public_route_fail(
    shared: Client, path: str, body: Any, with_token: bool, content_type: str
) -> None:
    """Whatever comes is kept or refused in JSON: never a 5xx, and never a silence."""
    desk = Desk(shared)
    if with_token and isinstance(body, list):
        body = {"token": desk.token(), "feedback": body}
    elif with_token and isinstance(body, dict):
        body = {**body, "token": desk.token()} if path == "" else {"tokens": [desk.token(), body]}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": content_type}
    response = desk.http.post(f"/feedback/{path}", content=content, headers=headers)
    event(str(response.status_code))
    assert response.status_code in (200, 202, 400, 403, 413, 415, 422), response.text
    assert isinstance(response.json(), dict)
    assert response.elapsed.total_seconds() < 2


def test_the_neighbours_of_a_data_id_are_of_no_use(desk: Desk) -> None:
    data_id = uuid.UUID(desk.client.log(output="An answer."))
    token = desk.token()
    answers = {
        forbidden(desk, token, data_id=str(uuid.UUID(int=data_id.int + step)))
        for step in range(-20, 21)
    }
    assert len(answers) == 1
    found = desk.client.get(str(data_id))
    assert found is not None
    assert found.feedback == []


def test_no_refusal_can_be_told_by_how_long_it_takes() -> None:
    """By turns, so that what else the machine does falls on all; one quiet round of ten is enough."""
    ring = (("k2", b"a newer secret, long enough"), ("k1", b"an older secret, long enough"))
    ids = (new_id(),)
    token = mint(ring, "web", ids, subject=random_subject(), bound=False, now_s=_NOW_S)
    head, key_id, payload, mac = token.split(".")
    flipped = {place: ("A" if mac[place] != "A" else "B") for place in (0, 21, 41)}
    bad = [
        f"{head}.{key_id}.{payload}.{mac[:at]}{new}{mac[at + 1 :]}" for at, new in flipped.items()
    ]
    bad += [f"{head}.{key_id}.{payload[:-1]}{'A' if payload[-1] != 'A' else 'Q'}.{mac}"]
    bad += [f"{head}.{other}.{payload}.{mac}" for other in ("k1", "k8")]
    spreads = []
    for _ in range(10):
        took_ns: list[list[int]] = [[] for _ in bad]
        for _ in range(1_000):
            for token, spent in zip(bad, took_ns, strict=True):
                started_ns = time.perf_counter_ns()
                try:
                    read(token, ring, now_s=_NOW_S)
                except TokenRejected:
                    spent.append(time.perf_counter_ns() - started_ns)
        assert all(len(spent) == 1_000 for spent in took_ns)
        medians = [statistics.median(spent) for spent in took_ns]
        spreads.append(max(medians) / min(medians) - 1)
        if spreads[-1] < 0.04:
            break
    assert min(spreads) < 0.04, spreads
