"""``POST /api/v1/store/<name>``: the store itself, for clients whose store is this server (layer 5).

The calls are those of `afterword.stores.http`; bodies and answers are described in
`afterword.stores.remote`. A key for one project reaches that project only, and stands in for
whatever project the client is configured with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from afterword.codec import from_json
from afterword.configuration import check_project
from afterword.delivery.arrivals import arriving
from afterword.errors import ConfigError, InvalidInput
from afterword.feedback.rows import FeedbackRow
from afterword.feedback.types import declare
from afterword.ids import check_data_id, check_external_id
from afterword.model import SIGNALS, SOURCES, STATUSES
from afterword.server.api.answers import Refused
from afterword.server.api.bodies import misfit
from afterword.server.api.service import Service, not_found
from afterword.server.auth import Access, authorize
from afterword.stores.protocol import Store, as_json_definition, from_json_definition
from afterword.stores.remote import MEDIA_TYPE, Answer, Call, Rows
from afterword.stores.rows import GenerationRow, Stored

__all__ = ["RemoteStore"]

MAX_ROWS = 10_000
MAX_LIMIT = 10_000

#: Kinds of documents that guard the server itself; no client sees or changes them.
_OWN_KINDS = frozenset({"api_key", "tombstone", "retention"})
_SETTING = "remote_setting"
_MOST_MICROSECONDS = 1 << 60
_JSON_COLUMNS = ("inputs", "messages", "output", "error", "tags", "metadata", "patch")

_CALL = msgspec.msgpack.Decoder(Call)
_ROWS = msgspec.msgpack.Decoder(Rows)
_encode = msgspec.msgpack.Encoder().encode

_Work = Callable[[Store, Call], Any]


class RemoteStore:
    """Answers the calls of remote stores for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def call(self, request: Request) -> Response:
        """One call, by its name."""
        name = request.path_params["name"]
        if name == "write":
            stored = await self._write(request)
            return Response(_encode(Answer(stored, list(stored.known))), media_type=MEDIA_TYPE)
        if name not in _CALLS:
            raise not_found(f"The store has no call {name[:100]}.")
        scopes, work = _CALLS[name]
        access = await authorize(request, *scopes)
        call = _decoded(await self._service.bodies.read(request, MEDIA_TYPE), _CALL)
        if access.project is not None:
            _restrict(call, access)
        if name == "erase":  # from this server's own spool, too
            erase = self._service.client.erase
            return _answer(await run_in_threadpool(erase, call.user, call.project))
        store = self._service.store(access)
        if store.is_local and name in _QUICK:
            return _answer(work(store, call))
        return _answer(await run_in_threadpool(work, store, call))

    async def _write(self, request: Request) -> Stored:
        access = await authorize(request, "ingest", "feedback")
        data = await self._service.bodies.read(request, MEDIA_TYPE)
        with self._service.bodies.holding(len(data)):
            rows = _decoded(data, _ROWS)
            for wanted, given in (("ingest", rows.generations), ("feedback", rows.feedback)):
                if given and not access.may(wanted):
                    raise HTTPException(HTTPStatus.FORBIDDEN, f"This key lacks the scope {wanted}.")
            if len(rows.generations) + len(rows.feedback) > MAX_ROWS:
                raise Refused(413, f"at most {MAX_ROWS} rows at once", "generations")
            for index, row in enumerate(rows.generations):
                check_generation(row, index, access.project)
            for index, said in enumerate(rows.feedback):
                check_feedback(said, index, access.project)
            commits = self._service.commits
            return (await arriving(commits.submit(rows.generations, rows.feedback))).stored


def check_generation(row: GenerationRow, index: int, project: str | None) -> None:
    """Refuse a row that no client of ours writes; a key's `project` takes the place of its own.

    Raises:
        InvalidInput: a column does not hold what it should.
    """
    place = f"generations[{index}]"
    if project is not None:
        row.project = project
    _check(check_data_id, row.id, f"{place}.id")
    _check(check_project, row.project, f"{place}.project")
    _one_of(row.status, STATUSES, f"{place}.status")
    _check_time(row.created_at, f"{place}.created_at")
    for name in _JSON_COLUMNS:
        text = getattr(row, name)
        if text is not None:
            _check_json(text, f"{place}.{name}")


def check_feedback(row: FeedbackRow, index: int, project: str | None) -> None:
    """Refuse a row that no client of ours writes; a key's `project` takes the place of its own.

    Raises:
        InvalidInput: a column does not hold what it should.
    """
    place = f"feedback[{index}]"
    if project is not None:
        row.project, row.provisional = project, False
    for name in ("id", "data_id"):
        _check(check_data_id, getattr(row, name), f"{place}.{name}")
    _check(check_project, row.project, f"{place}.project")
    _one_of(row.source, SOURCES, f"{place}.source")
    _one_of(row.signal, SIGNALS, f"{place}.signal")
    _one_of(row.sentiment, (None, "positive", "negative"), f"{place}.sentiment")
    _one_of(row.rater, (row.user or row.subject or "",), f"{place}.rater")
    for name in ("created_at", "received_at"):
        _check_time(getattr(row, name), f"{place}.{name}")
    for name in ("value", "comment", "metadata"):
        text = getattr(row, name)
        if text is not None:
            _check_json(text, f"{place}.{name}")


def _restrict(call: Call, access: Access) -> None:
    """Leave of a call what the key's project allows."""
    if call.query is not None:
        access.check_project(call.query.project)
        call.query = msgspec.structs.replace(call.query, project=access.project)
    call.project = access.project


def _generations(store: Store, call: Call) -> list[GenerationRow]:
    query = call.query
    if query is None or not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidInput(f"limit must be from 1 to {MAX_LIMIT}", field="query.limit")
    return store.generations(query)


def _put_alias(store: Store, call: Call) -> None:
    check_data_id(call.data_id)
    store.put_alias(_project(call), check_external_id(call.external_id), call.data_id)


def _feedback_types(store: Store, call: Call) -> dict[str, str]:
    found = store.feedback_types(_project(call))
    return {name: as_json_definition(definition) for name, definition in found.items()}


def _put_feedback_type(store: Store, call: Call) -> None:
    try:
        given = from_json_definition(call.body)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"body is no feedback type: {error}", field="body") from None
    labels = given.labels or None
    definition = declare(
        given.name, given.cls, labels, given.minimum, given.maximum, given.step, given.signal
    )
    store.put_feedback_type(_project(call), definition)


def _document(store: Store, call: Call) -> str | None:
    if call.kind in _OWN_KINDS:
        return None
    return store.document(call.kind, _project(call), call.name)


def _documents(store: Store, call: Call) -> list[tuple[str, str, str]]:
    return [] if call.kind in _OWN_KINDS else store.documents(call.kind, call.project)


def _put_document(store: Store, call: Call) -> str:
    _check_kind(call)
    _check_json(call.body, "body")
    return store.put_document(call.kind, _project(call), call.name, call.body, replace=call.replace)


def _drop_document(store: Store, call: Call) -> bool:
    _check_kind(call)
    return store.drop_document(call.kind, _project(call), call.name)


def _check_kind(call: Call) -> None:
    if call.kind in _OWN_KINDS or not call.kind or not call.name:
        raise HTTPException(HTTPStatus.FORBIDDEN, "Documents of this kind are the server's own.")


def _setting(store: Store, call: Call) -> str | None:
    return store.document(_SETTING, call.project or "", call.name)


def _make_setting(store: Store, call: Call) -> str:
    return store.put_document(_SETTING, call.project or "", call.name, call.body, replace=False)


def _project(call: Call) -> str:
    if call.project is None:
        raise InvalidInput("project is missing", field="project")
    return call.project


_ANY_READER = ("read", "ingest", "feedback")
_CALLS: Mapping[str, tuple[tuple[str, ...], _Work]] = {
    "facts": (_ANY_READER, lambda store, call: {**store.facts(), "server": store.url}),
    "generation": (
        ("read", "feedback"), lambda store, call: store.generation(call.data_id, call.project)
    ),
    "by_ids": (("read",), lambda store, call: store.by_ids(call.data_ids)),
    "project_of": (_ANY_READER, lambda store, call: store.project_of(call.data_id)),
    "generations": (("read",), _generations),
    "history": (
        ("read", "feedback"), lambda store, call: store.history(call.data_ids, call.project)
    ),
    "resolve": (_ANY_READER, lambda store, call: store.resolve(call.external_id, call.project)),
    "put_alias": (("ingest",), _put_alias),
    "feedback_types": (_ANY_READER, _feedback_types),
    "put_feedback_type": (("ingest",), _put_feedback_type),
    "projects": (_ANY_READER, lambda store, call: store.projects()),
    "setting": (("admin",), _setting),
    "make_setting": (("admin",), _make_setting),
    "document": (("read",), _document),
    "documents": (("read",), _documents),
    "put_document": (("admin",), _put_document),
    "drop_document": (("admin",), _drop_document),
    "erase": (("admin",), lambda store, call: store.erase(call.user, call.project)),
}  # fmt: skip
#: Reads of microseconds, which a local store answers without a thread.
_QUICK = frozenset({"project_of", "resolve", "feedback_types", "generation", "history"})


def _answer(result: Any) -> Response:
    return Response(_encode(Answer(result)), media_type=MEDIA_TYPE)


def _decoded(data: bytes, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise misfit(error) from None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not MessagePack: {error}") from None


def _check(check: Callable[[object], object], value: object, field: str) -> None:
    try:
        check(value)
    except (InvalidInput, ConfigError) as error:
        raise InvalidInput(f"{field}: {error}", field=field) from None


def _one_of(value: object, allowed: tuple[object, ...], field: str) -> None:
    if value not in allowed:
        raise InvalidInput(f"{field} does not hold what it may", field=field)


def _check_time(value: int, field: str) -> None:
    if not -_MOST_MICROSECONDS < value < _MOST_MICROSECONDS:
        raise InvalidInput(f"{field} is no time", field=field)


def _check_json(text: str, field: str) -> None:
    try:
        if '"$' in text:
            from_json(text)
            return
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except msgspec.DecodeError:
            json.loads(text)  # takes the lone surrogates that text of Python's may hold
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise InvalidInput(f"{field} is not JSON as stores keep it", field=field) from None
