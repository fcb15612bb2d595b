"""Reading over HTTP: pages of generations, and one with its feedback and history (layer 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from afterword.errors import InvalidInput
from afterword.listing import MAX_LIMIT, query, rows_with_feedback
from afterword.model import SIGNALS, FeedbackType
from afterword.server.api.answers import answer
from afterword.server.api.service import Service, not_found
from afterword.server.api.shapes import GenerationOut, GenerationPage, generation_out
from afterword.server.auth import Access, authorize
from afterword.server.pages.query import parsed_value
from afterword.stores.protocol import Query, Store

__all__ = ["FILTERS", "Reading"]

DEFAULT_LIMIT = 50
#: The parameters of ``GET /generations`` and what each holds.
FILTERS: Mapping[str, str] = {
    "project": "the exact project",
    "name": "the exact name",
    "version": "the exact version",
    "model": "the exact model",
    "status": "ok, error, cancelled, abandoned, running or waiting",
    "user": "the exact user",
    "session": "the exact session",
    "since": "an ISO 8601 time; generations from then on",
    "until": "an ISO 8601 time; generations before it",
    "feedback": "a feedback type for any current value of it, or type:value; may be repeated",
    "sentiment": "positive or negative: of some current feedback",
    "signal": "explicit, implicit or free-form: of some current feedback",
    "has_correction": "true: only generations with a current correction",
    "text": "text looked for in inputs, messages, output and error",
    "limit": f"how many, 1 to {MAX_LIMIT}; {DEFAULT_LIMIT} without it",
    "after": "the `next` of the page before",
}
_PLAIN = (
    "project", "name", "version", "model", "status", "user", "session", "since", "until",
    "sentiment", "text", "after",
)  # fmt: skip


class Reading:
    """Answers reads for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def page(self, request: Request) -> Response:
        """`GET /generations`: newest first."""
        access = await authorize(request, "read")
        params = request.query_params
        return answer(await self._service.read(lambda: self._page(params, access)))

    async def one(self, request: Request) -> Response:
        """`GET /generations/{id}`: one generation, its current feedback and all of its history."""
        access = await authorize(request, "read")
        data_id = request.path_params["data_id"]
        return answer(await self._service.read(lambda: self._one(data_id, access)))

    def _page(self, params: QueryParams, access: Access) -> GenerationPage:
        client = self._service.client
        access.check_project(params.get("project") or None)
        store = self._service.store(access)
        project = access.project or params.get("project") or None
        types = self._service.desk(access).types(project or client.project)
        wanted = read_query(params, types, project)
        client.recorder.flush(2.0)
        return _listed(store, wanted)

    def _one(self, data_id: str, access: Access) -> GenerationOut:
        service = self._service
        service.client.recorder.flush(2.0)
        store = service.store(access)
        found = store.generation(data_id)
        if found is None:
            alias = store.resolve(data_id)
            found = None if alias is None else store.generation(alias)
        if found is None:
            service.check_own(access, data_id)
            raise not_found(f"No generation has the data ID {data_id[:200]}.")
        history = store.history([found.id], found.project)
        return generation_out(found, history, with_history=True)


def read_query(
    params: QueryParams, types: Mapping[str, FeedbackType], project: str | None
) -> Query:
    """The query that the parameters of a listing spell.

    Raises:
        InvalidInput: a parameter is unknown or not usable; the message names it.
    """
    for name in params:
        if name not in FILTERS:
            raise InvalidInput(f"unknown parameter {name[:100]}", field=name[:100])
        if name != "feedback" and len(params.getlist(name)) > 1:
            raise InvalidInput(f"{name} stands twice", field=name)
    fields: dict[str, Any] = {name: params.get(name) or None for name in _PLAIN}
    fields["project"] = project
    fields["limit"] = _limit(params.get("limit"))
    fields["feedback"] = _feedback(params, types)
    wanted = query(fields, types)
    signal = params.get("signal") or None
    if signal is not None and signal not in SIGNALS:
        raise InvalidInput(
            f"signal must be one of: {', '.join(SIGNALS)}", field="signal", allowed=SIGNALS
        )
    return msgspec.structs.replace(wanted, signal=signal)


def _listed(store: Store, wanted: Query) -> GenerationPage:
    found, following = rows_with_feedback(store, wanted)
    return GenerationPage([generation_out(row, history) for row, history in found], following)


def _limit(given: str | None) -> int:
    if given is None or given == "":
        return DEFAULT_LIMIT
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:9]) <= MAX_LIMIT:
        raise InvalidInput(f"limit must be a whole number from 1 to {MAX_LIMIT}", field="limit")
    return int(given)


def _feedback(params: QueryParams, types: Mapping[str, FeedbackType]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for given in params.getlist("feedback"):
        name, colon, value = given.partition(":")
        if not name or name in wanted:
            raise InvalidInput("feedback is type or type:value, each type once", field="feedback")
        wanted[name] = parsed_value(types.get(name), value) if colon else None
    has_correction = params.get("has_correction")
    if has_correction not in (None, "", "true"):
        raise InvalidInput("has_correction must be true, or left out", field="has_correction")
    if has_correction:
        wanted.setdefault("correction", None)
    return wanted
