"""The OpenAPI document, and requests made from it: the server answers as the document says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from api_calls import API
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi import checks

from afterword.client import Client
from afterword.server import create_app

OPERATIONS = [
    "GET /api/v1/generations",
    "POST /api/v1/generations",
    "GET /api/v1/generations/{data_id}",
    "GET /api/v1/export/{kind}",
    "POST /api/v1/feedback",
    "GET /api/v1/projects/{project}/feedback-types",
    "PUT /api/v1/projects/{project}/feedback-types",
    "DELETE /api/v1/users/{user}",
    "GET /healthz",
]
#: That what fits the document is accepted is not among them: a feedback type must be a known one.
CHECKS: list[Any] = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def schema() -> Any:
    client = Client("memory:")
    yield schemathesis.openapi.from_asgi(f"{API}/openapi.json", create_app(client))
    client.close()


def test_the_document_describes_every_operation(schema: Any) -> None:
    schema.validate()
    found = [described.ok().label for described in schema.get_all_operations()]
    assert sorted(found) == sorted(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_requests_made_from_the_document_are_answered_as_it_says(schema: Any, label: str) -> None:
    found = [described.ok() for described in schema.get_all_operations()]
    operation = next(described for described in found if described.label == label)
    asked = 0

    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy())
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        case.call_and_validate(checks=CHECKS)

    ask()
    assert asked > 0
