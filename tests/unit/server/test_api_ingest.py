"""`POST /api/v1/generations`: what is kept, what is refused, and how much of it."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from api_calls import API, JSON, api, body, headers, post_generations, refusal

from afterword.client import Client
from afterword.ids import new_id
from afterword.server import create_app
from afterword.server.api import bodies
from afterword.server.api.bodies import BODY_BYTES
from afterword.stores.rows import GenerationRow

FULL: dict[str, Any] = {
    "id": "full", "project": "bot", "name": "answer", "version": "v1", "parent_id": "up",
    "root_id": "top", "session": "s", "user": "u", "status": "error",
    "created_at": "2026-11-23T10:00:00.123456Z", "duration_ms": 12.5, "first_token_ms": 3.5,
    "inputs": {"q": "Wie geht's?", "n": [1, 2.5, None, True]}, "messages": [{"role": "user"}],
    "output": "gut", "error": {"type": "E", "message": "m"}, "model": "m", "provider": "x",
    "usage": {"input_tokens": 3, "output_tokens": 4}, "cost_usd": 0.125, "tags": ["a", "b"],
    "metadata": {"k": 1}, "trace_id": "t" * 32, "span_id": "f" * 16,
}  # fmt: skip


def test_every_field_is_kept_and_read_back(client: Client) -> None:
    web = api(client)
    assert post_generations(web, FULL).json() == {"accepted": 1, "duplicates": 0}
    read = web.get(f"{API}/generations/full").json()
    assert {name: read[name] for name in FULL} == FULL
    assert (read["feedback"], read["feedback_history"]) == ([], [])
    found = client.get("full")
    assert found is not None
    assert (found.inputs, found.usage) == (FULL["inputs"], type(found.usage)(3, 4))


def test_only_the_id_is_needed(client: Client) -> None:
    web = api(client)
    assert post_generations(web, {"id": "bare"}).status_code == 200
    read = web.get(f"{API}/generations/bare").json()
    assert (read["project"], read["status"], read["root_id"]) == ("default", "ok", "bare")


def test_the_first_end_stays_and_a_later_one_is_a_duplicate(client: Client) -> None:
    web = api(client)
    begun = post_generations(web, {"id": "a", "status": "running", "inputs": 1})
    assert begun.json() == {"accepted": 1, "duplicates": 0}
    ended = post_generations(web, {"id": "a", "output": "first"})
    assert ended.json() == {"accepted": 1, "duplicates": 0}
    again = post_generations(web, {"id": "a", "output": "second"}, {"id": "b"}, {"id": "b"})
    assert again.json() == {"accepted": 1, "duplicates": 2, "conflicts": ["a"]}
    read = web.get(f"{API}/generations/a").json()
    assert (read["status"], read["inputs"], read["output"]) == ("ok", 1, "first")


def test_a_retry_is_no_conflict_however_it_is_written_and_whatever_came_between(
    client: Client,
) -> None:
    web = api(client)
    sent = {**FULL, "project": "default", "created_at": None}
    post_generations(web, {**sent, "status": "running", "error": None, "output": None})
    assert post_generations(web, sent).json() == {"accepted": 1, "duplicates": 0}
    client.store.write([annotated("full", {"output": "better", "metadata": {"late": 1}})], [])
    content = json.dumps({"generations": [sent]}, indent=3)
    again = web.post(f"{API}/generations", content=content, headers=JSON)
    assert again.json() == {"accepted": 0, "duplicates": 1}
    fewer = {"id": "full", "status": "error", "tags": ["b"], "metadata": {"k": 1}}
    assert post_generations(web, fewer).json() == {"accepted": 0, "duplicates": 1}


@pytest.mark.parametrize(
    "said",
    [
        {"output": "other"}, {"inputs": {}}, {"user": "v"}, {"metadata": {"k": 2}},
        {"error": {"type": "E", "message": "n"}}, {"status": "cancelled"}, {"usage": {"input_tokens": 4}},
    ],
    ids=str,
)  # fmt: skip
def test_what_says_something_else_is_named_as_a_conflict_and_not_kept(
    client: Client, said: dict[str, Any]
) -> None:
    web = api(client)
    post_generations(web, FULL)
    before = web.get(f"{API}/generations/full").json()
    rest = {"id": "full", "project": "bot", "status": "error"}
    given = post_generations(web, {**rest, **said}, {"id": "new"}).json()
    assert given == {"accepted": 1, "duplicates": 1, "conflicts": ["full"]}
    kept = web.get(f"{API}/generations/full").json()
    assert kept == before
    assert "afterword_api_conflicts_total 1" in web.get("/metrics").text


def annotated(data_id: str, note: dict[str, Any]) -> GenerationRow:
    patch = json.dumps({new_id(): note})
    return GenerationRow(id=data_id, project="default", status="running", created_at=1, patch=patch)


def test_a_key_says_the_project_whatever_the_record_says(client: Client) -> None:
    key = headers(client, "ingest", "read")
    web = api(client)
    assert post_generations(web, {"id": "a", "project": "other"}, headers=key).status_code == 200
    assert web.get(f"{API}/generations/a", headers=key).json()["project"] == "bot"


def test_secrets_are_redacted_however_they_are_spelled(client: Client) -> None:
    web = api(client)
    secret = "sk-" + "a1" * 20
    hidden = secret.replace("-", "\\u002d")
    content = f'{{"generations": [{{"id": "a", "output": "{hidden}", "tags": ["{secret}"],'
    content += f'"inputs": {{"{secret}": 1}}, "error": {{"message": "{secret}"}}}}]}}'
    assert web.post(f"{API}/generations", content=content, headers=JSON).status_code == 200
    kept = web.get(f"{API}/generations/a").text
    assert "a1a1" not in kept
    assert kept.count("<redacted: api key>") == 4


def test_values_that_look_like_marks_of_ours_stay_what_they_are(client: Client) -> None:
    web = api(client)
    value = {"$bytes": "no base64", "list": [{"$float": 3}, {"$dict": None}]}
    assert post_generations(web, {"id": "a", "inputs": value, "output": {"$int": "x"}}).is_success
    found = client.get("a")
    assert found is not None
    assert (found.inputs, found.output) == (value, {"$int": "x"})


def test_half_a_surrogate_pair_is_replaced_and_the_batch_kept(client: Client) -> None:
    web = api(client)
    content = rb'{"generations": [{"id": "a", "output": "cut \ud83d"}, {"id": "b"}]}'
    assert web.post(f"{API}/generations", content=content, headers=JSON).is_success
    assert web.get(f"{API}/generations/a").json()["output"] == "cut \ufffd"


MISFITS: list[tuple[Any, str]] = [
    ({}, "generations[0].id"),
    ({"id": 3}, "generations[0].id"),
    ({"id": "a b"}, "generations[0].id"),
    ({"id": "a\n"}, "generations[0].id"),
    ({"id": "a" * 129}, "generations[0].id"),
    ({"id": "a", "color": 1}, "generations[0].color"),
    ({"id": "a", "project": "/etc"}, "generations[0].project"),
    ({"id": "a", "status": "waiting"}, "generations[0].status"),
    ({"id": "a", "name": "n" * 1_001}, "generations[0].name"),
    ({"id": "a", "created_at": "yesterday"}, "generations[0].created_at"),
    ({"id": "a", "duration_ms": -1}, "generations[0].duration_ms"),
    ({"id": "a", "messages": {}}, "generations[0].messages"),
    ({"id": "a", "metadata": []}, "generations[0].metadata"),
    ({"id": "a", "usage": {"input_tokens": -1}}, "generations[0].usage.input_tokens"),
    ({"id": "a", "tags": "x"}, "generations[0].tags"),
    ({"id": "a", "error": "boom"}, "generations[0].error"),
    ({"id": "a", "inputs": json.loads("[" * 70 + "]" * 70)}, "generations[0].inputs"),
    (7, "generations[0]"),
]


@pytest.mark.parametrize(("given", "field"), MISFITS, ids=lambda value: str(value)[:40])
def test_a_field_that_does_not_fit_is_named_and_nothing_is_kept(
    client: Client, given: Any, field: str
) -> None:
    web = api(client)
    assert refusal(post_generations(web, given, {"id": "good"})) == (422, [field])
    assert web.get(f"{API}/generations").json()["items"] == []


def test_brackets_inside_of_text_are_no_depth(client: Client) -> None:
    web = api(client)
    deep = json.loads('{"a":' * 63 + "1" + "}" * 63)
    given = {"id": "a", "inputs": {"code": "[{" * 200}, "output": deep}
    assert post_generations(web, given).status_code == 200


@pytest.mark.parametrize(
    ("content", "changed", "status"),
    [
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"nope", {}, 400),
        (b"[]", {}, 422),
        (b"{}", {}, 422),
        (b'{"generations": []} {}', {}, 400),
        (b'{"generations": [{"id": "a", "output": NaN}]}', {}, 400),
        (b"[" * 100_000, {}, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "zstd"}, 400),
        (gzip.compress(b"{}")[:-4], {"Content-Encoding": "gzip"}, 400),
        (b" " * (BODY_BYTES + 1), {}, 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_kind_of_bad_body_has_its_answer(
    client: Client, content: bytes, changed: dict[str, str], status: int
) -> None:
    response = api(client).post(f"{API}/generations", content=content, headers={**JSON, **changed})
    assert refusal(response)[0] == status


def test_a_batch_has_at_most_5000_generations(client: Client) -> None:
    web = api(client)
    rows = [{"id": f"g{number}"} for number in range(5_001)]
    assert refusal(post_generations(web, *rows)) == (422, ["generations"])
    assert post_generations(web, *rows[1:]).json() == {"accepted": 5_000, "duplicates": 0}


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", COMPRESSORS)
def test_compressed_bodies_are_taken(client: Client, coding: str) -> None:
    compress = COMPRESSORS[coding]
    content = compress(body(generations=[{"id": "a", "output": "long " * 10_000}]))
    encoded = {**JSON, "Content-Encoding": coding}
    response = api(client).post(f"{API}/generations", content=content, headers=encoded)
    assert response.json() == {"accepted": 1, "duplicates": 0}


@pytest.mark.parametrize("coding", COMPRESSORS)
def test_a_body_that_grows_too_much_is_refused(client: Client, coding: str) -> None:
    encoded = {**JSON, "Content-Encoding": coding}
    bomb = COMPRESSORS[coding](b" " * 19_000_000 + body(generations=[]))
    response = api(client).post(f"{API}/generations", content=bomb, headers=encoded)
    assert refusal(response)[0] == 413


def test_a_gzip_body_may_have_several_members(client: Client) -> None:
    whole = body(generations=[{"id": "a"}])
    content = gzip.compress(whole[:10]) + gzip.compress(whole[10:])
    encoded = {**JSON, "Content-Encoding": "gzip"}
    assert api(client).post(f"{API}/generations", content=content, headers=encoded).is_success
    deflated = zlib.compress(whole)
    response = api(client).post(f"{API}/generations", content=deflated, headers=encoded)
    assert refusal(response)[0] == 400


def test_feedback_of_before_joins_when_its_generation_comes(client: Client) -> None:
    web = api(client)
    said = {"data_id": "late", "type": "rating", "value": "bad"}
    assert web.post(f"{API}/feedback", json={"feedback": [said]}).is_success
    assert web.get(f"{API}/generations/late").json()["status"] == "waiting"
    assert post_generations(web, {"id": "late", "project": "x"}).json()["accepted"] == 1
    read = web.get(f"{API}/generations/late").json()
    assert (read["status"], read["project"], len(read["feedback"])) == ("ok", "x", 1)


def test_a_body_that_does_not_arrive_is_waited_for_a_while(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "READ_TIMEOUT_S", 0.2)
    pieces = [b'{"generations": ', b'[{"id": "a"}', b"]}"]
    headers = [(b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": "POST", "path": f"{API}/generations", "headers": headers,
        "query_string": b"", "scheme": "http", "server": ("localhost", 80),
    }  # fmt: skip

    def answered(arriving: int) -> int:
        """The status, when so many pieces arrive, the first at once and the others a little late."""
        left = iter(range(arriving))
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            number = next(left, None)
            await asyncio.sleep(0.01 * number if number is not None else 60)
            more = number != len(pieces) - 1
            return {"type": "http.request", "body": pieces[number or 0], "more_body": more}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        asyncio.run(create_app(client)(scope, receive, send))
        return statuses[0]

    assert answered(3) == 200
    assert answered(2) == 408
    assert client.store.projects() == ["default"]
