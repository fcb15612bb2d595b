"""Bodies: what a browser posts is read strictly, and every refusal says what was wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from afterword.asgi.bodies import feedback_entries, json_body, token_list
from afterword.asgi.limits import Limits
from afterword.asgi.refusals import Refused, json_response

pytestmark = pytest.mark.anyio


def request(
    *chunks: bytes,
    content_type: str | None = "application/json",
    headers: dict[str, str] | None = None,
    then: Callable[[], Any] | None = None,
    http_version: str = "1.1",
) -> Request:
    """A request whose body comes in these chunks, and then ends or waits for `then`."""
    given = dict(headers or {})
    if content_type is not None:
        given["content-type"] = content_type

    async def messages() -> AsyncIterator[Message]:
        for index, chunk in enumerate(chunks):
            more = then is not None or index + 1 < len(chunks)
            yield {"type": "http.request", "body": chunk, "more_body": more}
        if then is not None:
            await then()
        yield {"type": "http.disconnect"}

    stream = messages()

    async def receive() -> Message:
        return await anext(stream)

    return Request(
        {
            "type": "http",
            "method": "POST",
            "path": "/",
            "http_version": http_version,
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()
            ],
        },
        receive,
    )


async def refused(request: Request, limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        await json_body(request, limits or Limits())
    return caught.value


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json;",
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/plain; charset=utf-8",
    ],
)
async def test_json_is_taken_as_json_and_as_the_text_that_beacons_send(content_type: str) -> None:
    body = await json_body(request(b'{"a": 1}', content_type=content_type), Limits())
    assert body == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json-patch+json",
        "application/problem+json",
        "text/html",
        "text/plainx",
        "text/json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "text/plain; charset=utf-8; boundary=x",
        "application/json, text/plain",
        "*/*",
    ],
)
async def test_every_other_content_type_is_415(content_type: str | None) -> None:
    assert (await refused(request(b"{}", content_type=content_type))).status == 415


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "zstd"])
async def test_a_compressed_body_is_415(encoding: str) -> None:
    found = await refused(request(b"{}", headers={"content-encoding": encoding}))
    assert found.status == 415


async def test_an_encoding_named_identity_is_none() -> None:
    assert await json_body(request(b"{}", headers={"content-encoding": "Identity"}), Limits()) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {}',
        b"hello",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"NaN",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": 1, "\\u0061": 2}',
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b'{"a": "\xc0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\n"}',
        b'{"a": "\x00"}',
        b'{"a": 01}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b"[" * 8_000 + b"]" * 8_000,
    ],
)
async def test_what_is_not_json_is_400(body: bytes) -> None:
    assert (await refused(request(body))).status in ((400, 422) if body.endswith(b"]") else (400,))


@pytest.mark.parametrize("body", [b"null", b"[]", b'"aw1.k"', b"5", b"true", b"[{}]"])
async def test_json_that_is_no_object_is_422(body: bytes) -> None:
    found = await refused(request(body))
    assert (found.status, found.body["errors"][0]["field"]) == (422, "body")


@pytest.mark.parametrize("chunk_bytes", [1, 7, 4096, 20_000])
async def test_a_body_may_come_in_any_chunks(chunk_bytes: int) -> None:
    raw = json.dumps({"a": "é" * 3000}).encode()
    chunks = [raw[start : start + chunk_bytes] for start in range(0, len(raw), chunk_bytes)]
    assert await json_body(request(*chunks), Limits(body_bytes=len(raw))) == {"a": "é" * 3000}


async def test_a_body_of_the_largest_size_passes_and_one_byte_more_is_413() -> None:
    raw = json.dumps({"a": "x" * (16_384 - 9)}).encode()
    assert len(raw) == 16_384
    assert await json_body(request(raw, headers={"content-length": "16384"}), Limits())
    assert (await refused(request(raw + b" "))).status == 413
    assert (await refused(request(raw, b" "))).status == 413


async def test_a_body_declared_too_large_is_413_before_any_of_it_is_read() -> None:
    found = await refused(request(headers={"content-length": "16385"}, then=anyio.sleep_forever))
    assert found.status == 413
    found = await refused(request(headers={"content-length": "9" * 40}, then=anyio.sleep_forever))
    assert found.status == 413


@pytest.mark.parametrize("declared", ["0", "5", "-5", "many", "²"])
async def test_a_declared_length_that_lies_is_no_way_around_the_limit(declared: str) -> None:
    chunks = [b'{"a": "' + b"x" * 9000, b"x" * 9000 + b'"}']
    assert (await refused(request(*chunks, headers={"content-length": declared}))).status == 413


async def test_a_body_without_end_is_413_and_not_read_on() -> None:
    read = 0

    class Endless:
        async def __call__(self) -> Message:
            nonlocal read
            read += 1
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    asking = request(b"")
    endless = Request(asking.scope, Endless())
    assert (await refused(endless)).status == 413
    assert read == 17


@pytest.mark.parametrize(("http_version", "closes"), [("1.0", 1), ("1.1", 1), ("2", 0), ("3", 0)])
async def test_a_body_that_stops_half_way_is_408(http_version: str, closes: bool) -> None:
    slow = request(b'{"a"', then=anyio.sleep_forever, http_version=http_version)
    found = await refused(slow, Limits(read_timeout_s=0.02))
    assert found.status == 408
    assert found.headers == ({"Connection": "close"} if closes else None)


async def test_a_body_that_drips_is_408_too() -> None:
    dripped = 0

    async def receive() -> Message:
        nonlocal dripped
        dripped += 1
        await anyio.lowlevel.checkpoint()
        return {"type": "http.request", "body": b"", "more_body": True}

    found = await refused(Request(request(b"").scope, receive), Limits(read_timeout_s=0.02))
    assert found.status == 408
    assert dripped > 1


@pytest.mark.parametrize(("depth", "passes"), [(5, True), (6, False), (400, False)])
async def test_a_body_may_be_five_deep(depth: int, passes: bool) -> None:
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        raw = f'{{"a": {opening * (depth - 1)}1{closing * (depth - 1)}}}'.encode()
        if passes:
            assert await json_body(request(raw), Limits())
        else:
            found = await refused(request(raw))
            assert (found.status, found.body["errors"][0]["field"]) == (422, "body")


async def test_nul_and_lone_surrogates_come_through_as_they_are() -> None:
    body = await json_body(request(rb'{"a": "\u0000\udc00\ud800 \ud83d\ude00"}'), Limits())
    assert body == {"a": "\0\udc00\ud800 \U0001f600"}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), json_values))
def test_what_is_answered_can_be_read_back(body: dict[str, Any]) -> None:
    assert json.loads(bytes(json_response(body).body)) == json.loads(json.dumps(body))


def test_an_answer_holds_any_text() -> None:
    text = "\0\ud800 </script> é"
    response = json_response({"a": text}, 202)
    assert json.loads(bytes(response.body)) == {"a": text}
    assert response.headers["content-type"] == "application/json"


ENTRY = {"type": "rating", "value": "good"}


def field_of(body: dict[str, Any], limits: Limits | None = None) -> str:
    with pytest.raises(Refused) as caught:
        feedback_entries(body, limits or Limits())
    assert caught.value.status == 422
    assert caught.value.body["detail"] == caught.value.body["errors"][0]["message"]
    return str(caught.value.body["errors"][0]["field"])


def test_both_forms_give_entries() -> None:
    assert feedback_entries({"token": "t", **ENTRY}, Limits()) == [ENTRY]
    assert feedback_entries({"token": "t", "feedback": [ENTRY, ENTRY]}, Limits()) == [ENTRY, ENTRY]


def test_a_retraction_needs_no_value_or_a_null_one() -> None:
    assert feedback_entries({"type": "rating", "value": None}, Limits())[0]["value"] is None
    assert feedback_entries({"type": "rating", "unset": True}, Limits()) == [
        {"type": "rating", "unset": True}
    ]


def test_null_is_as_good_as_a_field_left_out_except_for_the_value() -> None:
    nulls = dict.fromkeys(("data_id", "comment", "metadata", "created_at", "unset"))
    assert feedback_entries({**ENTRY, **nulls}, Limits()) == [ENTRY]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": None}, "type"),
        ({"type": 5}, "type"),
        ({"type": ["rating"]}, "type"),
        ({"data_id": 5}, "data_id"),
        ({"data_id": ["x"]}, "data_id"),
        ({"value": "x" * 10_001}, "value"),
        ({"comment": "x" * 10_001}, "comment"),
        ({"user": "ada"}, "user"),
        ({"source": "reviewer"}, "source"),
        ({"id": "x"}, "id"),
        ({"project": "other"}, "project"),
        ({"subject": "x"}, "subject"),
        ({"x" * 60: 1}, "x" * 50),
    ],
)
def test_a_field_that_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    assert field_of({**ENTRY, **change}) == field
    listed = [ENTRY, ENTRY, {**ENTRY, **change}]
    assert field_of({"token": "t", "feedback": listed}) == f"feedback[2].{field}"


def test_a_field_that_is_missing_is_named() -> None:
    assert field_of({"value": "good"}) == "type"
    assert field_of({"type": "rating"}) == "value"
    assert field_of({"type": "rating", "unset": False}) == "value"
    assert field_of({"feedback": [ENTRY, {"type": "rating"}]}) == "feedback[1].value"


@pytest.mark.parametrize("entry", [None, "good", 5, [ENTRY], True])
def test_an_entry_that_is_no_object_is_named(entry: object) -> None:
    assert field_of({"feedback": [ENTRY, entry]}) == "feedback[1]"


@pytest.mark.parametrize("listed", [None, {}, "good", [], 5])
def test_feedback_that_is_no_list_of_entries_is_named(listed: object) -> None:
    assert field_of({"feedback": listed}) == "feedback"


def test_fifty_entries_pass_and_one_more_does_not() -> None:
    assert len(feedback_entries({"feedback": [ENTRY] * 50}, Limits())) == 50
    assert field_of({"feedback": [ENTRY] * 51}) == "feedback"
    assert field_of({"feedback": [ENTRY] * 1000}) == "feedback"


def test_the_two_forms_do_not_mix() -> None:
    assert field_of({"token": "t", "feedback": [ENTRY], **ENTRY}) == "type"
    assert field_of({"feedback": [{"token": "t", **ENTRY}]}) == "feedback[0].token"


def test_the_longest_text_passes() -> None:
    assert feedback_entries({"type": "correction", "value": "é" * 10_000}, Limits())


@pytest.mark.parametrize(
    "body",
    [{}, {"tokens": None}, {"tokens": "t"}, {"tokens": [1]}, {"tokens": ["t", None]},
     {"tokens": ["t"] * 51}, {"tokens": {}}],
)  # fmt: skip
def test_tokens_must_be_a_list_of_texts(body: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        token_list(body, Limits())
    assert (caught.value.status, caught.value.body["errors"][0]["field"]) == (422, "tokens")


def test_a_field_beside_the_tokens_is_named() -> None:
    with pytest.raises(Refused) as caught:
        token_list({"tokens": [], "token": "x"}, Limits())
    assert caught.value.body["errors"][0]["field"] == "token"


def test_no_token_is_a_list_of_none() -> None:
    assert len(token_list({"tokens": ["t"] * 50}, Limits())) == 50
    assert token_list({"tokens": []}, Limits()) == []
    assert token_list({"tokens": ["", "x"]}, Limits()) == ["", "x"]


def test_too_many_requests_are_told_how_many_whole_seconds_to_wait() -> None:
    assert Refused.for_now(0.2).headers == {"Retry-After": "1"}
    assert Refused.for_now(1.2).headers == {"Retry-After": "2"}
    assert Refused.for_now(1.2).response().status_code == 429
