"""Requests that the document forbids, and those of one tenant for the records of another."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from api_calls import API, api, headers, post_feedback, post_generations
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi import checks
from test_api_openapi import CHECKS, OPERATIONS

from afterword.client import Client
from afterword.server import create_app
from afterword.server.keys import create_key

SETTINGS: dict[str, Any] = {
    "deadline": None, "database": None, "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}  # fmt: skip
#: What may be sent wrong: these take parameters or a body.
TAKING = [label for label in OPERATIONS if label != "GET /healthz"]
LISTING = ("GET /api/v1/generations", "GET /api/v1/export/{kind}")
CANARY = "canary-of-the-other-tenant"


#: A path may hold anything, so of routes with nothing else the document forbids nothing.
FORBIDDING = [label for label in TAKING if label.startswith(("POST", "PUT")) or label in LISTING]


@pytest.mark.parametrize("label", FORBIDDING)
def test_requests_that_the_document_forbids_are_refused_and_none_fails(label: str) -> None:
    client = Client("memory:")
    operation = operation_of(client, label)
    # An empty filter of a listing is none, as forms send it.
    wanted = CHECKS if label in LISTING else [*CHECKS, checks.negative_data_rejection]
    seen: set[int] = set()

    @settings(max_examples=25, **SETTINGS)
    @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def ask(case: Any) -> None:
        response = case.call()
        case.validate_response(response, checks=wanted)
        seen.add(response.status_code)

    ask()
    client.close()
    assert any(400 <= status < 500 for status in seen)


class Tenants:
    """Two projects in one store, and a key with every scope for one of them."""

    def __init__(self) -> None:
        self.client = Client("memory:")
        self.text, _ = create_key(
            self.client.store, project="ours", scopes=["ingest", "read", "feedback", "admin"]
        )
        theirs = headers(self.client, "admin", project="theirs")
        web = api(self.client)
        for data_id in ("theirs-1", "shared"):
            row = {
                "id": data_id, "inputs": {"q": CANARY}, "output": CANARY, "user": "ann",
                "session": CANARY, "metadata": {"k": CANARY}, "name": CANARY,
            }  # fmt: skip
            assert post_generations(web, row, headers=theirs).is_success
            said = {"data_id": data_id, "type": "comment", "value": CANARY, "user": "ann"}
            assert post_feedback(web, said, headers=theirs).is_success
        self.client.store.put_alias("theirs", "their-alias", "theirs-1")
        put = {"feedback_types": [{"name": "mood", "cls": "select", "labels": [CANARY]}]}
        declared = web.put(f"{API}/projects/theirs/feedback-types", json=put, headers=theirs)
        assert declared.is_success
        self.before = self.theirs()

    def theirs(self) -> Any:
        """All that the other tenant has."""
        store = self.client.store
        ids = ["theirs-1", "shared"]
        return (
            [store.generation(data_id, "theirs") for data_id in ids],
            store.history(ids, "theirs"),
            store.resolve("their-alias", "theirs"),
            store.feedback_types("theirs"),
        )


#: What stands for the other tenant's records wherever a request may name one.
NAMES = {
    "data_id": ("theirs-1", "shared", "their-alias"),
    "project": ("theirs",),
    "user": ("ann",),
}


@pytest.mark.parametrize("label", TAKING)
def test_no_request_of_one_tenant_shows_or_changes_anything_of_another(label: str) -> None:
    tenants = Tenants()
    operation = operation_of(tenants.client, label)
    asked = 0

    @settings(max_examples=25, **SETTINGS)
    @given(operation.as_strategy())
    def ask(case: Any) -> None:
        nonlocal asked
        for turn in range(3):
            aim(case, turn)
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {tenants.text}"}
            response = case.call()
            asked += 1
            assert response.status_code < 500
            assert CANARY not in response.text, (label, case.path_parameters, case.query, case.body)
            assert tenants.theirs() == tenants.before, (label, case.path_parameters, case.body)

    ask()
    assert asked > 0
    tenants.client.close()


def aim(case: Any, turn: int) -> None:
    """Point a request at the other tenant's records."""
    for name, values in NAMES.items():
        value = values[turn % len(values)]
        if name in (case.path_parameters or {}):
            case.path_parameters[name] = value
        if case.query and name in case.query:
            case.query[name] = value
    if not isinstance(case.body, dict):
        return
    for list_name, id_name in (("generations", "id"), ("feedback", "data_id")):
        entries = case.body.get(list_name)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                entry[id_name] = NAMES["data_id"][turn]
                entry["user"] = "ann"
                if list_name == "generations":
                    entry["project"] = "theirs"


def operation_of(client: Client, label: str) -> Any:
    schema = schemathesis.openapi.from_asgi(f"{API}/openapi.json", create_app(client))
    found = [described.ok() for described in schema.get_all_operations()]
    return next(described for described in found if described.label == label)
