"""Issuing: whom a token is for, and the ways to hand one to a client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextvars import Context
from typing import Any

import pytest
from feedback_desk import NOW_S, claims

import afterword
from afterword import Client, NoGenerationInContext
from afterword.asgi import handle, sse_event
from afterword.asgi.issuing import Issuer, set_issuer
from afterword.asgi.tokens import MAX_DATA_IDS, Claims, read

pytestmark = pytest.mark.usefixtures("issuer")


def answer(client: Client) -> Any:
    @afterword.generation(client=client)
    def answer() -> str:
        return str(afterword.current_data_id())

    return answer


def test_a_handle_names_the_generation_that_ran_last_and_those_before_it(client: Client) -> None:
    with afterword.trail():
        first, second = answer(client)(), answer(client)()
        found = handle()
    assert found["data_id"] == second
    said = claims(client, found["token"])
    assert said.data_ids == (second, first)
    assert (said.project, said.types, said.bound) == ("web", None, False)
    assert (said.issued_s, said.expires_s) == (NOW_S, NOW_S + 86_400)


def test_a_handle_inside_a_generation_is_its_own(client: Client) -> None:
    @afterword.generation(client=client)
    def outer() -> tuple[str | None, str | None]:
        return afterword.current_data_id(), handle()["data_id"]

    with afterword.trail():
        own, handed = outer()
    assert own == handed


def test_a_handle_before_the_first_generation_is_the_one_that_it_will_have(client: Client) -> None:
    with afterword.trail() as trail:
        early = handle()
        assert handle()["data_id"] == early["data_id"]
        assert answer(client)() == early["data_id"]
        assert trail.data_ids == [early["data_id"]]


def test_a_stream_that_was_made_but_has_not_begun_is_the_one_handed_over(client: Client) -> None:
    @afterword.generation(client=client)
    def stream() -> Iterator[str]:
        yield "x"

    with afterword.trail():
        before = answer(client)()
        chunks: Any = stream()
        assert handle()["data_id"] == chunks.data_id
        assert list(chunks) == ["x"]
        assert handle()["data_id"] == chunks.data_id
        assert claims(client, handle()["token"]).data_ids == (chunks.data_id, before)


def test_the_id_that_a_trail_was_given_is_handed_over(client: Client) -> None:
    with afterword.trail(data_id="message-1"):
        assert handle()["data_id"] == "message-1"
        assert answer(client)() == "message-1"


def test_without_a_trail_there_is_nothing_to_hand_over() -> None:
    for function in (handle, sse_event):
        with pytest.raises(NoGenerationInContext, match=r"FeedbackMiddleware|trail\(\)"):
            Context().run(function)


def test_a_user_is_bound_by_a_subject_that_does_not_change(client: Client) -> None:
    found: list[Claims] = []
    for user in ("ada", "ada", "bob"):
        with afterword.trail(user=user):
            found.append(claims(client, handle()["token"]))
    assert found[0].subject == found[1].subject != found[2].subject
    assert all(said.bound for said in found)


def test_an_anonymous_subject_is_stable_within_a_session_and_no_further(client: Client) -> None:
    subjects = []
    for session in ("s1", "s1", "s2", None, None):
        with afterword.trail(session=session):
            answer(client)()
            said = claims(client, handle()["token"])
            assert claims(client, handle()["token"]).subject == said.subject
        assert not said.bound
        subjects.append(said.subject)
    assert subjects[0] == subjects[1]
    assert len(set(subjects)) == 4


def test_a_user_and_a_session_of_one_name_are_two_raters(client: Client) -> None:
    with afterword.trail(user="x"):
        user = claims(client, handle()["token"]).subject
    with afterword.trail(session="x"):
        assert claims(client, handle()["token"]).subject != user


def test_the_options_of_an_issuer_are_in_its_tokens(client: Client) -> None:
    set_issuer(Issuer(client, ttl_s=60, types=["rating"], now_s=lambda: NOW_S))
    with afterword.trail():
        said = claims(client, handle()["token"])
    assert (said.types, said.expires_s) == (("rating",), NOW_S + 60)


def test_the_project_of_a_decorator_is_the_one_of_the_token(client: Client) -> None:
    @afterword.generation(client=client, project="other")
    def elsewhere() -> None: ...

    with afterword.trail():
        elsewhere()
        assert claims(client, handle()["token"]).project == "other"


def test_of_many_generations_the_newest_are_named(client: Client) -> None:
    with afterword.trail() as trail:
        for _ in range(50):
            answer(client)()
        said = claims(client, handle()["token"])
    assert said.data_ids == tuple(reversed(trail.data_ids))[:MAX_DATA_IDS]


def test_without_a_secret_there_is_an_id_and_no_token(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client._keyring._keys = ()
    monkeypatch.setattr(client.store, "is_local", False)  # as with a remote store
    with afterword.trail():
        data_id = answer(client)()
        assert handle() == {"data_id": data_id, "token": None}
        assert json.loads(sse_event().partition("data: ")[2]) == {"data_id": data_id, "token": None}


def test_a_token_that_would_be_too_long_is_left_out_and_counted(client: Client) -> None:
    set_issuer(Issuer(client, types=["x" * 60] * 6))
    before = client.status().faults
    with afterword.trail():
        found = handle()
    assert found["data_id"]
    assert found["token"] is None
    assert client.status().faults == before + 1


def test_an_event_is_one_frame(client: Client) -> None:
    with afterword.trail(data_id="message-1"):
        frame = sse_event()
    event, data, *rest = frame.split("\n")
    assert event == "event: afterword"
    assert rest == ["", ""]
    found = json.loads(data.removeprefix("data: "))
    assert found["data_id"] == "message-1"
    assert claims(client, found["token"]).data_ids == ("message-1",)


def test_outside_of_the_middleware_the_default_client_mints() -> None:
    set_issuer(None)
    client = afterword.configure("memory:", project="script")
    with afterword.trail():
        said = read(handle()["token"], client.keyring(), now_s=int(time.time()))
    assert said.project == "script"
