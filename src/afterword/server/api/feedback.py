"""``POST /api/v1/feedback``: batches of feedback, all or nothing (layer 5)."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from afterword.delivery.arrivals import arriving
from afterword.delivery.requests import Kept
from afterword.desk import answers
from afterword.errors import InvalidInput
from afterword.feedback.rows import FeedbackRow
from afterword.model import Feedback
from afterword.server.api.answers import answer
from afterword.server.api.bodies import decoded
from afterword.server.api.service import Service
from afterword.server.api.shapes import feedback_json
from afterword.server.auth import Access, authorize

__all__ = ["FeedbackBatch", "FeedbackDesk"]

MAX_BATCH = 1_000


class FeedbackBatch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /feedback``."""

    feedback: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=MAX_BATCH)]


_DECODER = msgspec.json.Decoder(FeedbackBatch)


class FeedbackDesk:
    """Takes feedback for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def post(self, request: Request) -> Response:
        """Keep all of a batch, or nothing; 200 means that it is in the store, with full sync."""
        service = self._service
        access = await authorize(request, "feedback")
        data = await service.bodies.read(request)
        with service.bodies.holding(len(data)):
            batch, _ = decoded(data, _DECODER)
            kept: list[Feedback] = []
            if batch.feedback:
                if service.client.store.is_local:
                    groups = self._groups(batch.feedback, access)
                else:
                    groups = await run_in_threadpool(self._groups, batch.feedback, access)
                # Not through the desk, which may keep it on this disk while the store is away: who
                # reads from another server of this store must find what was answered with 200.
                rows = [row for group in groups for row in group]
                written = await arriving(service.commits.submit([], rows))
                kept = answers(groups, Kept(written.stored))
            return answer({"feedback": [feedback_json(said) for said in kept]})

    def _groups(self, entries: list[dict[str, Any]], access: Access) -> list[list[FeedbackRow]]:
        groups = self._service.desk(access).rows(entries, default_data_id=_missing, listed=True)
        if access.project is not None:
            for row in (row for rows in groups for row in rows):
                # The key says which project it is, so no later generation may take it elsewhere.
                row.provisional = False
                if not self._service.seen.has(access.project, row.data_id):
                    self._service.check_own(access, row.data_id)
        return groups


def _missing() -> NoReturn:
    raise InvalidInput("data_id is missing", field="data_id")
