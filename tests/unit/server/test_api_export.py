"""`GET /api/v1/export/{kind}`: what is in the file, whose it is, and what it is called."""

from __future__ import annotations

import csv
import http.client
import io
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from api_calls import API, api, headers, post_feedback, post_generations, refusal
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.codec import clean
from afterword.errors import StoreUnavailable
from afterword.insight.exporting import PAGE_ROWS
from afterword.server import create_app
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

sys.path.append(str(Path(__file__).parents[2]))

from api_server import serving  # noqa: E402

MANY = 1_203


@pytest.fixture
def web(client: Client) -> TestClient:
    web = api(client)
    at = "2026-01-0{}T00:00:00Z"
    post_generations(
        web,
        {"id": "a", "project": "p", "name": "answer", "created_at": at.format(1), "output": "red"},
        {"id": "b", "project": "p", "model": "m", "created_at": at.format(2), "user": "ann"},
        {"id": "c", "project": "q", "version": "v", "created_at": at.format(3), "inputs": {"q": 1}},
    )
    post_feedback(
        web,
        {"data_id": "a", "type": "rating", "value": "bad", "user": "u"},
        {"data_id": "a", "type": "rating", "value": "good", "user": "u"},
        {"data_id": "c", "type": "correction", "value": "Better.", "user": "u", "comment": "why"},
        {"data_id": "c", "type": "action", "value": "copied"},
    )
    return web


def exported(web: TestClient, path: str, **options: Any) -> list[dict[str, Any]]:
    response = web.get(f"{API}/export/{path}", **options)
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "bac"),
        ("?project=p", "ba"),
        ("?name=answer", "a"),
        ("?version=v", "c"),
        ("?model=m", "b"),
        ("?status=error", ""),
        ("?user=ann", "b"),
        ("?since=2026-01-02T00:00:00Z", "bc"),
        ("?until=2026-01-02T00:00:00Z", "a"),
        ("?feedback=rating:good", "a"),
        ("?feedback=action:copied&feedback=correction", "c"),
        ("?has_correction=true", "c"),
        ("?signal=implicit", "c"),
        ("?sentiment=positive&project=p", "a"),
        ("?text=red", "a"),
    ],
)
def test_each_filter_of_the_listing_finds_what_it_names(
    web: TestClient, query: str, found: str
) -> None:
    records = exported(web, f"generations{query}")
    assert "".join(record["id"] for record in records) == found


def test_a_generation_is_exported_as_the_api_answers_it(web: TestClient) -> None:
    for record in exported(web, "generations"):
        answered = web.get(f"{API}/generations/{record['id']}").json()
        del answered["feedback_history"]
        assert record == answered


def test_feedback_is_the_current_statements_or_every_one_of_them(web: TestClient) -> None:
    standing = exported(web, "feedback")
    assert [(said["type"], said["value"]) for said in standing] == [
        ("rating", "good"), ("correction", "Better."), ("action", "copied"),
    ]  # fmt: skip
    every = exported(web, "feedback?history=true&project=p")
    assert [said["value"] for said in every] == ["bad", "good"]
    assert every == web.get(f"{API}/generations/a").json()["feedback_history"]


def test_corrections_are_pairs_of_what_was_said_and_what_should_have_been(web: TestClient) -> None:
    (pair,) = exported(web, "corrections")
    kept = {name: pair[name] for name in ("data_id", "project", "inputs", "output", "correction")}
    assert kept == {
        "data_id": "c", "project": "q", "inputs": {"q": 1}, "output": None, "correction": "Better.",
    }  # fmt: skip
    assert (pair["comment"], pair["user"]) == ("why", "u")
    assert exported(web, "corrections?project=p") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=xlsx", "format"),
        ("format=csv&format=csv", "format"),
        ("format=../csv", "format"),
        ("colour=red", "colour"),
        ("limit=5", "limit"),
        ("after=1~a", "after"),
        ("status=fine", "status"),
        ("history=yes", "history"),
        ("history=true", "history"),
        ("since=soon", "since"),
        ("name=a&name=b", "name"),
    ],
)
def test_what_makes_no_sense_is_named_with_what_is_known(
    web: TestClient, query: str, field: str
) -> None:
    response = web.get(f"{API}/export/generations?{query}")
    assert refusal(response) == (422, [field])
    if field in ("format", "colour", "limit") and "&" not in query:
        assert "jsonl" in response.json()["detail"] or "has_correction" in response.json()["detail"]


@pytest.mark.parametrize("kind", ["everything", "Generations", "", "generations/x", "../keys"])
def test_a_kind_that_is_not_there_is_not_found(web: TestClient, kind: str) -> None:
    assert refusal(web.get(f"{API}/export/{kind}"))[0] == 404


def test_a_key_exports_its_own_project_only(client: Client, web: TestClient) -> None:
    ours, feedback_only = headers(client, "read", project="p"), headers(client, "feedback")
    web = api(client)
    assert "".join(one["id"] for one in exported(web, "generations", headers=ours)) == "ba"
    for kind in ("generations", "feedback", "corrections"):
        path = f"{API}/export/{kind}"
        assert web.get(path).status_code == 401
        assert refusal(web.get(path, headers=feedback_only))[0] == 403
        assert refusal(web.get(f"{path}?project=q", headers=ours))[0] == 403
    assert exported(web, "corrections", headers=ours) == []


@pytest.mark.parametrize(
    ("form", "kind"),
    [("jsonl", "application/x-ndjson"), ("csv", "text/csv; charset=utf-8; header=present")],
)
def test_a_file_says_what_it_is_and_is_no_page(web: TestClient, form: str, kind: str) -> None:
    path = f"{API}/export/feedback?format={form}&project=p"
    for response in (web.get(path), web.head(path)):
        assert response.status_code == 200
        assert response.headers["content-type"] == kind
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-disposition"] == (
            f'attachment; filename="afterword-p-feedback.{form}"'
        )
    assert web.head(path).content == b""


@pytest.mark.parametrize(
    "project",
    [
        'a".html"; x="', "a\r\nSet-Cookie: a=b", "../../etc/passwd", "..", ".htaccess", "é😀", "a\x00b",
        "＂quote＂", "a;b", "a\\b", "%22%0d%0a", "\u202egpj.exe", "x" * 5_000, "<script>", "CON",
    ],
)  # fmt: skip
def test_no_project_name_leaves_the_file_name(client: Client, project: str) -> None:
    row = GenerationRow(id="a", project=clean(project), created_at=1, name="=1+1")
    client.store.write([row], [])
    response = api(client).get(
        f"{API}/export/generations", params={"project": project, "format": "csv"}
    )
    assert response.status_code == 200
    given = response.headers["content-disposition"]
    assert re.fullmatch(
        r'attachment; filename="afterword-([A-Za-z0-9-]{1,64}-)?generations\.csv"', given
    )
    assert "set-cookie" not in response.headers
    (read,) = csv.DictReader(io.StringIO(response.text, newline=""))
    assert read["name"] == "'=1+1"


def test_many_pages_of_rows_are_one_file_and_each_row_is_in_it_once(client: Client) -> None:
    assert MANY > 2 * PAGE_ROWS
    # Many of one time, so that pages end between rows that only the ID tells apart; and IDs that
    # two projects share.
    rows = [
        GenerationRow(id=f"g{number:05}", project=project, created_at=number // 700, output='"x"')
        for number in range(MANY)
        for project in ("p", "q")
    ]
    client.store.write(rows, [])
    web = api(client)
    for form in ("jsonl", "csv"):
        with web.stream("GET", f"{API}/export/generations?format={form}") as response:
            assert "content-length" not in response.headers
            text = "".join(response.iter_text())
        read: list[Any] = (
            list(map(json.loads, text.splitlines()))
            if form == "jsonl"
            else list(csv.DictReader(io.StringIO(text, newline="")))
        )
        assert sorted((row["project"], row["id"]) for row in read) == sorted(
            (row.project, row.id) for row in rows
        )


class Failing:
    """A client's store whose pages fail from one on."""

    def __init__(self, store: Any, pages: int) -> None:
        self._store, self._pages = store, pages

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def generations(self, query: Query) -> list[GenerationRow]:
        self._pages -= 1
        if self._pages < 0:
            raise StoreUnavailable("the disk has gone")
        found: list[GenerationRow] = self._store.generations(query)
        return found


def test_a_store_that_goes_away_breaks_the_file_off(client: Client) -> None:
    client.store.write(
        [
            GenerationRow(id=f"g{number}", project="p", created_at=number, output=f'"{"x" * 500}"')
            for number in range(MANY)
        ],
        [],
    )
    client.store = Failing(client.store, 2)  # type: ignore[assignment]
    with serving(create_app(client)) as url:
        status, _, body = got(url)
        assert status == 200
        assert isinstance(body, http.client.IncompleteRead)
        assert b'"id":"g1202"' in body.partial
        # Nothing was sent yet when the first page fails: that is told as any failure.
        status, retry_after, body = got(url)
        assert (status, retry_after) == (503, "2")
        assert b"the disk has gone" in body


def got(url: str) -> tuple[int, str | None, Any]:
    """The status, Retry-After and body of all generations; of a body that breaks off, the error."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request("GET", f"{API}/export/generations")
        with connection.getresponse() as response:
            try:
                body: Any = response.read()
            except http.client.IncompleteRead as error:
                body = error
            return response.status, response.headers["retry-after"], body
    finally:
        connection.close()
