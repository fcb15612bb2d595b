"""Tickets: nothing about a token tells that it was made ahead."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from feedback_desk import NOW_S, claims
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, handle
from afterword.asgi.issuing import Issuer
from afterword.asgi.tickets import MOST_AT_ONCE, Ticket, Tickets
from afterword.asgi.tokens import Claims, Press, base64_of, read, subject_of
from afterword.context import Trail

TTL_S = 86_400
SECRET = b"0123456789abcdef0123456789abcdef"


class Counting(Press):
    """A press that tells how many tokens it has made."""

    made = 0

    def mint(
        self, data_ids: Sequence[str], subject: bytes, bound: bool, now_s: int, ttl_s: int
    ) -> str:
        self.made += 1
        return super().mint(data_ids, subject, bound, now_s, ttl_s)


@pytest.fixture
def press() -> Counting:
    return Counting("k1", SECRET, "web", ("thumb",))


@pytest.fixture
def tickets(client: Client, press: Counting) -> Tickets:
    return Tickets(client, press, TTL_S)


def drawn(tickets: Tickets, count: int, now_s: int = NOW_S) -> list[Ticket]:
    found = [tickets.draw(now_s) for _ in range(count)]
    return [ticket for ticket in found if ticket is not None]


def begun(issuer: Issuer) -> Trail:
    """The trail of a request in the midst of many."""
    issuer.draw(Trail())
    issuer.draw(Trail())
    trail = Trail()
    trail.draw = issuer.draw
    return trail


def test_a_ticket_is_a_token_like_any_other_for_a_data_id_that_nothing_has(
    client: Client, tickets: Tickets
) -> None:
    found = drawn(tickets, 301)
    assert len(found) == 300
    assert all(earlier[0] < later[0] for earlier, later in pairwise(found))
    assert len({subject for _, subject, _, _ in found}) == 300
    for data_id, subject, token, _ in found:
        said = claims(client, token)
        assert said.data_ids == (data_id,)
        assert (said.subject, said.bound) == (base64_of(subject), False)
        assert (said.project, said.types) == ("web", ("thumb",))
        assert (said.issued_s, said.expires_s) == (NOW_S, NOW_S + TTL_S)


def test_nothing_is_made_ahead_for_the_only_one_of_a_second(
    press: Counting, tickets: Tickets
) -> None:
    assert [tickets.draw(NOW_S + second) for second in range(5)] == [None] * 5
    assert press.made == 0


def test_the_faster_they_are_drawn_the_more_are_made_at_once(
    press: Counting, tickets: Tickets
) -> None:
    made = [press.made for _ in range(200) if tickets.draw(NOW_S) is not None or press.made == 0]
    steps = [later - earlier for earlier, later in pairwise(made) if later > earlier]
    assert steps[:6] == [2, 4, 8, 16, 32, 32]
    assert max(steps) == MOST_AT_ONCE


def test_what_a_second_left_over_is_not_given_out_in_another(
    client: Client, press: Counting, tickets: Tickets
) -> None:
    early = {ticket[0] for ticket in drawn(tickets, 20)}
    assert press.made > len(early)
    late = drawn(tickets, 20, NOW_S + 1)
    assert len(late) == 19
    assert early.isdisjoint(ticket[0] for ticket in late)
    assert {claims(client, ticket[2]).issued_s for ticket in late} == {NOW_S + 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_draws_other_data_ids_than_its_parent(
    press: Counting, tickets: Tickets
) -> None:
    assert len(drawn(tickets, 20)) < press.made
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, drawn(tickets, 3)[0][0].encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as told:
        theirs = told.read().decode()
    os.waitpid(child, 0)
    assert len(theirs) == 36
    assert theirs not in {ticket[0] for ticket in drawn(tickets, 100)}


def test_a_trail_gets_the_token_that_its_data_id_was_made_with(
    client: Client, issuer: Issuer
) -> None:
    trail = begun(issuer)
    data_id = trail.take()
    assert trail.ticket is not None
    token = issuer.token(trail, data_id)
    assert token == trail.ticket[2] == issuer.token(trail, data_id)
    assert claims(client, token).data_ids == (data_id,)
    trail.data_ids.append(data_id)
    assert issuer.token(trail, data_id) == token


def test_an_announced_data_id_and_its_token_stay_until_they_are_taken(issuer: Issuer) -> None:
    trail = begun(issuer)
    with trail:
        early = handle()
        assert handle() == early
    assert trail.take() == early["data_id"]
    assert issuer.token(trail, str(early["data_id"])) == early["token"]


def test_of_one_request_only_the_first_data_id_comes_with_a_token(
    client: Client, issuer: Issuer
) -> None:
    trail = begun(issuer)
    first = trail.take()
    trail.data_ids.append(first)
    before = claims(client, issuer.token(trail, first))
    second = trail.take()
    trail.data_ids.append(second)
    both = claims(client, issuer.token(trail, second))
    assert both.data_ids == (second, first)
    assert both.subject == before.subject


def test_a_generation_of_another_project_gets_a_token_for_that(
    client: Client, issuer: Issuer
) -> None:
    @afterword.generation(client=client, project="other")
    def answer() -> str:
        return "x"

    with begun(issuer):
        answer()
        assert claims(client, handle()["token"]).project == "other"


def test_a_token_is_never_signed_with_the_secret_of_a_client_before(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    issuer = Issuer(now_s=lambda: NOW_S)
    monkeypatch.setattr("afterword.asgi.issuing.default_client", lambda: client)
    begun(issuer)
    other = Client("memory:", project="new", secret="k2:abcdef0123456789abcdef0123456789")
    monkeypatch.setattr("afterword.asgi.issuing.default_client", lambda: other)
    trail = begun(issuer)
    data_id = trail.take()
    said = claims(other, issuer.token(trail, data_id))
    assert (said.key_id, said.project, said.data_ids) == ("k2", "new", (data_id,))
    other.close()


def test_what_keeps_tokens_from_being_made_keeps_no_data_id_back(client: Client) -> None:
    issuer = Issuer(client, types=["x" * 400])
    trail = begun(issuer)
    data_id = trail.take()
    assert len(data_id) == 36
    assert issuer.token(trail, data_id) is None
    assert client.status().faults == 1


def answering(client: Client, **options: object) -> TestClient:
    @afterword.generation(client=client)
    def answer() -> str:
        return str(afterword.current_data_id())

    async def chat(request: Request) -> JSONResponse:
        return JSONResponse(answer())

    app = Starlette(routes=[Route("/", chat)])
    return TestClient(FeedbackMiddleware(app, client=client, **options))  # type: ignore[arg-type]


def told(client: Client, headers: Mapping[str, str]) -> Claims:
    token = headers["afterword-feedback-token"]
    return read(token, client.keyring(), now_s=int(time.time()))


def test_each_of_many_fast_requests_has_a_token_for_its_own_answer(client: Client) -> None:
    browser = answering(client)
    subjects: set[str] = set()
    for _ in range(100):
        response = browser.get("/")
        said = told(client, response.headers)
        assert said.data_ids == (response.json(),) == (response.headers["afterword-data-id"],)
        subjects.add(said.subject)
    assert len(subjects) == 100
    assert client.flush()
    assert client.status().stored == 100


@pytest.mark.parametrize("name", ["user", "session"])
def test_tokens_of_somebody_known_are_never_those_of_strangers(client: Client, name: str) -> None:
    browser = answering(client, **{name: lambda scope: "ada"})
    said = [told(client, browser.get("/").headers) for _ in range(20)]
    assert {each.subject for each in said} == {subject_of(client.keyring(), "k1", name, "ada")}


def test_tokens_that_end_soon_are_made_when_they_are_given(client: Client) -> None:
    assert not Issuer(client, ttl_s=599).draws
    assert Issuer(client, ttl_s=600).draws
    browser = answering(client, token_ttl_s=60)
    said = [told(client, browser.get("/").headers) for _ in range(20)]
    assert {each.expires_s - each.issued_s for each in said} == {60}
