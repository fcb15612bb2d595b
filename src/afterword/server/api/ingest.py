"""``POST /api/v1/generations``: batches of generations, idempotent by ID (layer 5)."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from afterword.delivery.arrivals import arriving
from afterword.errors import StoreError
from afterword.server.api.answers import answer
from afterword.server.api.bodies import decoded
from afterword.server.api.posted import Reader
from afterword.server.api.service import Service
from afterword.server.api.shapes import PostedGeneration
from afterword.server.auth import Access, authorize
from afterword.stores.rows import GenerationRow, contradicts

__all__ = ["MAX_BATCH", "GenerationBatch", "Ingest", "Taken"]

MAX_BATCH = 5_000

_IN_THREAD_BYTES = 4_000_000


class GenerationBatch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /generations``."""

    generations: Annotated[list[PostedGeneration], msgspec.Meta(max_length=MAX_BATCH)]


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer: all of the batch is in the store.

    `accepted` counts the generations that were new or had not ended yet, `duplicates` those that
    had: of them the first end stays, whatever the later one says. `conflicts`, which is there only
    when there are any, names the duplicates that say something else than what is kept.
    """

    accepted: int
    duplicates: int
    conflicts: list[str] = []


_DECODER = msgspec.json.Decoder(GenerationBatch)


class Ingest:
    """Takes generations for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def post(self, request: Request) -> Response:
        """Keep a batch; 200 means that it is in the store, with full sync."""
        service = self._service
        access = await authorize(request, "ingest")
        data = await service.bodies.read(request)
        with service.bodies.holding(len(data)):
            if len(data) > _IN_THREAD_BYTES:
                rows = await run_in_threadpool(self._rows, data, access)
            else:
                rows = self._rows(data, access)
            del data
            if not rows:
                return answer(Taken(0, 0))
            commits = service.commits
            written = await arriving(commits.submit(rows, []))
            if access.project is not None:
                service.seen.note(access.project, [row.id for row in rows])
            conflicts: list[str] = []
            if written.repeated:
                conflicts = await service.read(lambda: self._conflicts(written.repeated))
                commits.conflicts += len(conflicts)
            duplicates = written.duplicates
            return answer(Taken(len(rows) - duplicates, duplicates, conflicts))

    def _conflicts(self, repeated: list[GenerationRow]) -> list[str]:
        """The IDs of those that say something else than what is kept of them."""
        try:
            found = self._service.client.store.by_ids([row.id for row in repeated])
        except StoreError:  # went away since; what was asked for is done
            return []
        kept = {(row.project, row.id): row for row in found}
        differ = (
            row.id
            for row in repeated
            if (row.project, row.id) in kept and contradicts(kept[row.project, row.id], row)
        )
        return list(dict.fromkeys(differ))

    def _rows(self, data: bytes, access: Access) -> list[GenerationRow]:
        batch, text = decoded(data, _DECODER)
        redactor = self._service.client.redactor
        reader = Reader(text, redactor, project=access.project, now=time.time_ns() // 1000)
        row = reader.row
        return [row(given, index) for index, given in enumerate(batch.generations)]
