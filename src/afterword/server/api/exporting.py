"""``GET /api/v1/export/{kind}``: all that the filters find, streamed as one file (layer 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from afterword.errors import InvalidInput
from afterword.insight.exporters import exporter, format_names
from afterword.insight.exporting import KINDS, export
from afterword.server.api.reading import FILTERS, read_query
from afterword.server.api.service import Service, not_found
from afterword.server.auth import Access, authorize

__all__ = ["EXPORT_PARAMETERS", "Exporting"]

DEFAULT_FORMAT = "jsonl"
#: The parameters of the route and what each holds: those of the listing, but for its pages.
EXPORT_PARAMETERS: Mapping[str, str] = {
    "format": f"{' or '.join(format_names())}; {DEFAULT_FORMAT} without it",
    "history": "true: of feedback, every statement and not the current ones alone",
    **{name: told for name, told in FILTERS.items() if name not in ("limit", "after")},
}

_CHUNK_BYTES = 65_536
_PROJECT_CHARS = 64


class Exporting:
    """Answers exports for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def file(self, request: Request) -> Response:
        """`GET /export/{kind}`: the file, made while it is sent."""
        access = await authorize(request, "read")
        kind, params = request.path_params["kind"], request.query_params
        if kind not in KINDS:
            raise not_found(f"There is no export {kind[:100]}; there are: {', '.join(KINDS)}.")
        form = params.get("format") or DEFAULT_FORMAT
        made = await self._service.read(lambda: self._pieces(kind, form, params, access))
        pieces = _chunks(made)
        # What fails before the first piece is still answered as every failure is. Later the
        # connection breaks, so that nobody takes a part for the whole.
        is_head = request.method == "HEAD"
        first = b"" if is_head else await self._service.read(lambda: next(pieces, b""))
        project = access.project or params.get("project") or ""
        return StreamingResponse(
            () if is_head else chain((first,), pieces),
            headers={
                "Content-Type": exporter(form).MEDIA_TYPE,
                "Content-Disposition": f'attachment; filename="{_filename(project, kind, form)}"',
            },
        )

    def _pieces(self, kind: str, form: str, params: QueryParams, access: Access) -> Iterator[bytes]:
        service = self._service
        access.check_project(params.get("project") or None)
        for name in params:
            if name not in EXPORT_PARAMETERS:
                raise InvalidInput(
                    f"unknown parameter {name[:100]}; known: {', '.join(EXPORT_PARAMETERS)}",
                    field=name[:100],
                )
        history = _own(params, "history")
        if history not in (None, "", "true"):
            raise InvalidInput("history must be true, or left out", field="history")
        _own(params, "format")
        project = access.project or params.get("project") or None
        types = service.desk(access).types(project or service.client.project)
        filters = [pair for pair in params.multi_items() if pair[0] in FILTERS]
        wanted = read_query(QueryParams(filters), types, project)
        service.client.recorder.flush(2.0)
        return export(service.store(access), kind, form, wanted, history=bool(history))


def _own(params: QueryParams, name: str) -> str | None:
    if len(params.getlist(name)) > 1:
        raise InvalidInput(f"{name} stands twice", field=name)
    return params.get(name)


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces: each takes a turn of the event loop."""
    held: list[bytes] = []
    size_bytes = 0
    for piece in pieces:
        held.append(piece)
        size_bytes += len(piece)
        if size_bytes >= _CHUNK_BYTES:
            yield b"".join(held)
            held, size_bytes = [], 0
    yield b"".join(held)


def _filename(project: str, kind: str, form: str) -> str:
    """A name for the file of characters that no header and no file system takes for anything else."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", project)[:_PROJECT_CHARS].strip("-")
    return "-".join(filter(None, ("afterword", safe, kind))) + f".{form}"
