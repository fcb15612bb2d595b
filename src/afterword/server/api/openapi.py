"""``GET /api/v1/openapi.json``: the API described, from the structs that decode and encode it (layer 5).

The format is OpenAPI 3.1.0, as the OpenAPI Initiative publishes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from afterword.insight.exporters import exporter, format_names
from afterword.insight.exporting import KINDS
from afterword.listing import MAX_LIMIT
from afterword.model import SIGNALS, SOURCES, STATUSES
from afterword.server.api.answers import Failure, answer
from afterword.server.api.exporting import DEFAULT_FORMAT, EXPORT_PARAMETERS
from afterword.server.api.feedback import MAX_BATCH as MAX_FEEDBACK
from afterword.server.api.ingest import GenerationBatch, Taken
from afterword.server.api.projects import Declarations, Erased
from afterword.server.api.reading import DEFAULT_LIMIT, FILTERS
from afterword.server.api.shapes import FeedbackOut, FeedbackTypes, GenerationOut, GenerationPage

__all__ = ["openapi", "openapi_document"]

_VERSION = "1"
_STRUCTS = (
    GenerationBatch, Taken, GenerationOut, GenerationPage, FeedbackOut, FeedbackTypes, Declarations,
    Erased, Failure,
)  # fmt: skip
_ID = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}
_TIME = {"type": "string", "format": "date-time"}
_FEEDBACK_IN: dict[str, Any] = {
    "type": "object",
    "description": "One statement. `value` null, or `unset`, retracts what was said before.",
    "required": ["data_id", "type"],
    "additionalProperties": False,
    "properties": {
        "data_id": {"type": "string", "minLength": 1, "maxLength": 512},
        "type": {"type": "string", "minLength": 1},
        "value": {"type": ["string", "boolean", "number", "array", "null"]},
        "user": {"type": ["string", "null"], "maxLength": 1_000},
        "source": {"enum": [*SOURCES, None]},
        "comment": {"type": ["string", "null"]},
        "metadata": {"type": ["object", "null"]},
        "created_at": {"anyOf": [_TIME, {"type": "number"}, {"type": "null"}]},
        "unset": {"type": ["boolean", "null"]},
        "id": {"anyOf": [_ID, {"type": "null"}]},
    },
}
_SPECIAL: dict[str, dict[str, Any]] = {
    "status": {"enum": list(STATUSES)},
    "sentiment": {"enum": ["positive", "negative"]},
    "signal": {"enum": list(SIGNALS)},
    "since": _TIME,
    "until": _TIME,
    "has_correction": {"enum": ["true"]},
    "format": {"enum": list(format_names()), "default": DEFAULT_FORMAT},
    "history": {"enum": ["true"]},
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "feedback": {"type": "array", "items": {"type": "string"}},
}
_FAILURES = {
    "400": "The body is not JSON, or not compressed as it says.",
    "401": "There is no valid key, and one is needed.",
    "403": "The key lacks the scope, or is for another project.",
    "404": "There is no such thing.",
    "413": "The body is too large.",
    "415": "The body is of another type, or compressed in a way that is not known.",
    "422": "A field does not fit; `errors` names it.",
    "503": "The store is away, or the server has too much in hand; see Retry-After.",
}


async def openapi(request: Request) -> Response:
    """`GET /openapi.json`: needs no key."""
    return answer(openapi_document())


@cache
def openapi_document() -> dict[str, Any]:
    """The document, as plain values."""
    _, schemas = msgspec.json.schema_components(
        _STRUCTS, ref_template="#/components/schemas/{name}"
    )
    schemas["FeedbackIn"] = _FEEDBACK_IN
    schemas["FeedbackBatch"] = _listing("feedback", "FeedbackIn", MAX_FEEDBACK)
    schemas["FeedbackKept"] = _listing("feedback", "FeedbackOut", None)
    schemas["Health"] = {"type": "object", "properties": {"status": {"const": "ok"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Afterword",
            "version": _VERSION,
            "description": "Generations of language models, and the feedback on exactly those.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"header": []}, {}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
            },
            "responses": {
                status: {"description": told, "content": _json("Failure")}
                for status, told in _FAILURES.items()
            },
        },
    }


def _paths() -> dict[str, Any]:
    posting = ("400", "401", "403", "413", "415", "422", "503")
    reading = ("401", "403", "422", "503")
    types = "/api/v1/projects/{project}/feedback-types"
    project = [_parameter("project", "path", {"type": "string"})]
    return {
        "/api/v1/generations": {
            "post": _operation(
                "postGenerations", "Log generations, idempotent by ID. Scope: ingest.", "Taken",
                posting, body="GenerationBatch",
            ),
            "get": _operation(
                "listGenerations", "Generations, newest first. Scope: read.", "GenerationPage",
                reading,
                parameters=_filters(FILTERS),
            ),
        },
        "/api/v1/generations/{data_id}": {
            "get": _operation(
                "getGeneration", "One generation with its feedback. Scope: read.", "GenerationOut",
                ("401", "403", "404", "503"),
                parameters=[_parameter("data_id", "path", {"type": "string"})],
            ),
        },
        "/api/v1/export/{kind}": {"get": _export()},
        "/api/v1/feedback": {
            "post": _operation(
                "postFeedback", "Give feedback, all or nothing. Scope: feedback.", "FeedbackKept",
                posting, body="FeedbackBatch",
            ),
        },
        types: {
            "get": _operation(
                "listFeedbackTypes", "A project's feedback types. Scope: read.", "FeedbackTypes",
                reading, parameters=project,
            ),
            "put": _operation(
                "putFeedbackTypes",
                "Declare feedback types; those not named stay. Scope: admin.",
                "FeedbackTypes", posting, body="Declarations", parameters=project,
            ),
        },
        "/api/v1/users/{user}": {
            "delete": _operation(
                "eraseUser", "Remove a user's records. Scope: admin.", "Erased",
                ("401", "403", "503"),
                parameters=[_parameter("user", "path", {"type": "string", "minLength": 1})],
            ),
        },
        "/healthz": {"get": _operation("health", "Whether the store is there.", "Health", ("503",))},
    }  # fmt: skip


def _export() -> dict[str, Any]:
    kind = _parameter("kind", "path", {"enum": list(KINDS)})
    described = _operation(
        "export", "All that the filters find, as one file. Scope: read.", "Failure",
        ("401", "403", "404", "422", "503"),
        parameters=[kind, *_filters(EXPORT_PARAMETERS)],
    )  # fmt: skip
    described["responses"]["200"] = {
        "description": "The file, in the format asked for.",
        "content": {
            exporter(name).MEDIA_TYPE.partition(";")[0]: {"schema": {"type": "string"}}
            for name in format_names()
        },
    }
    return described


def _filters(told: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        _parameter(name, "query", _SPECIAL.get(name, {"type": "string"}), what)
        for name, what in told.items()
    ]


def _operation(
    name: str,
    summary: str,
    answered: str,
    failures: tuple[str, ...],
    *,
    body: str | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "As asked.", "content": _json(answered)},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in failures},
        },
    }
    if parameters:
        described["parameters"] = parameters
    if body is not None:
        described["requestBody"] = {"required": True, "content": _json(body)}
    return described


def _parameter(name: str, place: str, schema: dict[str, Any], told: str = "") -> dict[str, Any]:
    described = {"name": name, "in": place, "required": place == "path", "schema": schema}
    return {**described, "description": told} if told else described


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _listing(field: str, item: str, most: int | None) -> dict[str, Any]:
    items: dict[str, Any] = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}}
    if most is not None:
        items["maxItems"] = most
    return {"type": "object", "required": [field], "properties": {field: items}}
