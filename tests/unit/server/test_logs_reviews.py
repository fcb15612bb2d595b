"""A reviewer's form, in process, over real stores: what is kept and what is refused."""

from __future__ import annotations

import html
import re

import pytest
from server_calls import HOST, log, review
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.server.security import CONTENT_SECURITY_POLICY


def test_a_review_is_recorded_and_leads_back_to_the_page(
    web: TestClient, client: Client, root: str
) -> None:
    data_id = log(client)
    answer = review(
        web, data_id, rating="bad", issue=["incorrect", "too_long"], comment="No.",
        correction="Better", reviewer="Ana",
    )  # fmt: skip
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{root.replace(' ', '%20')}/generations/{data_id}"
    generation = client.get(data_id)
    assert generation is not None
    assert {(found.type, found.value) for found in generation.feedback} == {
        ("rating", "bad"), ("issue", "incorrect"), ("issue", "too_long"), ("comment", "No."),
        ("correction", "Better"),
    }  # fmt: skip
    assert {(found.user, found.source) for found in generation.feedback} == {("Ana", "reviewer")}
    page = web.get(f"generations/{data_id}").text
    assert "Better</textarea>" in page


def test_a_review_goes_to_the_project_of_its_generation(
    plain_web: TestClient, client: Client
) -> None:
    client.feedback_type("stars", "number", minimum=1, maximum=5, project="other")
    data_id = log(client, project="other")
    assert 'name="stars"' in plain_web.get(f"/generations/{data_id}").text
    assert review(plain_web, data_id, stars="4").status_code == 303
    generation = client.get(data_id)
    assert generation is not None
    assert [(found.project, found.value) for found in generation.feedback] == [("other", 4)]


def test_one_label_can_be_taken_back_and_the_other_stays(
    plain_web: TestClient, client: Client
) -> None:
    data_id = log(client)
    review(plain_web, data_id, issue=["incorrect", "too_long"])
    page = plain_web.get(f"/generations/{data_id}").text
    first = re.findall(r'name="retract" value="([^"]+)"', page)[0]
    assert review(plain_web, data_id, retract=first).status_code == 303
    generation = client.get(data_id)
    assert generation is not None
    assert [found.value for found in generation.feedback] == ["too_long"]
    again = review(plain_web, data_id, retract=first)
    assert again.status_code == 422


def test_refused_feedback_shows_the_page_again_with_the_reason_and_the_entries(
    plain_web: TestClient, client: Client
) -> None:
    data_id = log(client)
    answer = review(plain_web, data_id, rating="splendid", comment="Kept <b>words</b>")
    assert answer.status_code == 422
    assert "takes one of: good, bad" in html.unescape(answer.text)
    assert "Kept &lt;b&gt;words&lt;/b&gt;" in answer.text
    generation = client.get(data_id)
    assert generation is not None
    assert generation.feedback_history == []


def test_a_form_from_another_site_records_nothing(plain_web: TestClient, client: Client) -> None:
    data_id = log(client)
    path = f"/generations/{data_id}/feedback"
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": HOST, "Sec-Fetch-Site": "cross-site"},
        {"Referer": "http://evil.example/"},
        {},
    ):
        answer = plain_web.post(path, data={"rating": "bad"}, headers=headers)
        assert answer.status_code == 403, headers
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    generation = client.get(data_id)
    assert generation is not None
    assert generation.feedback_history == []


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"comment=" + b"x" * 64 * 1024, 413),
        ("application/x-www-form-urlencoded", b"comment=%ff%fe", 400),
        ("application/x-www-form-urlencoded", b"comment=\xff", 400),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 501), 400),
        ("application/x-www-form-urlencoded", b"", 422),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/json", b'{"rating": "bad"}', 415),
        ("text/plain", b"rating=bad", 415),
    ],
)
def test_a_body_that_is_no_such_form_is_refused(
    plain_web: TestClient, client: Client, content_type: str, body: bytes, status: int
) -> None:
    data_id = log(client)
    answer = plain_web.post(
        f"/generations/{data_id}/feedback",
        content=body,
        headers={"Origin": HOST, "Content-Type": content_type},
    )
    assert answer.status_code == status
    generation = client.get(data_id)
    assert generation is not None
    assert generation.feedback_history == []


def test_reading_never_writes(plain_web: TestClient, client: Client) -> None:
    data_id = log(client)
    answer = plain_web.get(f"/generations/{data_id}/feedback?rating=bad")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    generation = client.get(data_id)
    assert generation is not None
    assert generation.feedback_history == []
