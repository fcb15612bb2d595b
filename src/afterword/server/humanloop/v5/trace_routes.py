"""``/import/otel/v1/traces``: what the SDK's decorators send (layer 5).

The body is protobuf's JSON of OTLP's TracesData, without a content type; IDs are base64 and every
value is text. Nested values are flattened: ``humanloop.log.inputs.question``, and lists have their
places for names.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from afterword.ids import is_data_id
from afterword.server.humanloop.recording import EXTRAS, make_durable
from afterword.server.humanloop.v5.files import KINDS, file_of
from afterword.server.humanloop.v5.recording import record
from afterword.server.humanloop.wire import Call, Refused, Routes

__all__ = ["add_routes", "nested"]

_FILE, _LOG = "humanloop.file.", "humanloop.log."
_NUMBERS = ("prompt_tokens", "output_tokens", "reasoning_tokens")


def add_routes(routes: Routes) -> None:
    """The one route."""
    routes.add("POST", "/import/otel/v1/traces", "ingest", _traces)


def _traces(call: Call) -> Any:
    records: list[str] = []
    for span in _spans(call.fields):
        data_id = _span(call, span)
        if data_id is not None:
            records.append(data_id)
    make_durable(call.client)
    return {"records": records}


def _spans(body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for resource in _list(body.get("resourceSpans")):
        for scope in _list(resource.get("scopeSpans")):
            found += _list(scope.get("spans"))
    return found


def _span(call: Call, span: dict[str, Any]) -> str | None:
    attributes = {
        str(pair.get("key")): _value(pair.get("value")) for pair in _list(span.get("attributes"))
    }
    kind, path = attributes.get(f"{_FILE}type"), attributes.get(f"{_FILE}path")
    if kind not in KINDS or not isinstance(path, str):
        return None
    log = nested(attributes, _LOG)
    content = nested(attributes, _FILE)
    for name in ("type", "path"):
        content.pop(name, None)
    data_id = log.pop("id", None)
    fields: dict[str, Any] = {
        **log,
        "log_id": data_id if is_data_id(data_id) else None,
        "start_time": _moment(span.get("startTimeUnixNano")),
        "end_time": _moment(span.get("endTimeUnixNano")),
    }
    for name in _NUMBERS:
        if isinstance(fields.get(name), str):
            fields[name] = int(fields[name]) if fields[name].isdecimal() else None
    content = _kernel(str(kind), content)
    if fields["log_id"] is not None:
        fields, begun = _completed(call, fields)
        content = content or begun
    named = {**call.fields, "path": path, str(kind): content or None}
    file = file_of(Call(call.client, call.access, call.path, call.query, named), str(kind))
    return record(call.client, file, fields)


def _completed(call: Call, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A flow's end with what was said at its beginning, and the content of its file."""
    found = call.client.get(fields["log_id"])
    if found is None:
        return fields, {}
    before = {
        "inputs": found.inputs,
        "messages": found.messages,
        "trace_parent_id": found.parent_id,
        "user": found.user,
        "start_time": found.created_at.isoformat(),
    }
    content = (found.metadata or {}).get(EXTRAS, {}).get("content") or {}
    return {
        **fields,
        **{name: value for name, value in before.items() if value is not None},
    }, content


def _kernel(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """The content of a file, which the SDK sends under its kind or bare."""
    inner = content.get(kind)
    return cast("dict[str, Any]", inner) if isinstance(inner, dict) else content


def nested(attributes: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The attributes below a prefix as the value that they were flattened from."""
    root: dict[str, Any] = {}
    for key in sorted(attributes):
        if not key.startswith(prefix):
            continue
        *parents, last = key[len(prefix) :].split(".")
        place = root
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                break
            place = cast("dict[str, Any]", inner)
        else:
            place[last] = attributes[key]
    return {name: _relisted(value) for name, value in root.items()}


def _relisted(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _relisted(part) for name, part in cast("dict[str, Any]", value).items()}
    if inner and all(name.isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    found = next(iter(cast("dict[str, Any]", value).values()), None)
    if isinstance(found, dict):
        return [_value(part) for part in _list(found.get("values"))]
    return found


def _moment(nanoseconds: Any) -> str | None:
    try:
        return datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _list(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise Refused(422, "The body is no TracesData.")
    return cast("list[dict[str, Any]]", value)
