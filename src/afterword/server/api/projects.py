"""A project's feedback types, and erasing a user (layer 5)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from afterword.codec import clean
from afterword.configuration import check_project
from afterword.errors import ConfigError, InvalidInput
from afterword.feedback.types import declare
from afterword.server.api.answers import answer
from afterword.server.api.bodies import decoded
from afterword.server.api.service import Service
from afterword.server.api.shapes import FeedbackTypeIn, FeedbackTypes
from afterword.server.auth import Access, authorize

__all__ = ["Declarations", "Erased", "Projects"]

_MAX_TYPES = 200


class Declarations(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``PUT /projects/{project}/feedback-types``."""

    feedback_types: Annotated[list[FeedbackTypeIn], msgspec.Meta(max_length=_MAX_TYPES)]


class Erased(msgspec.Struct, frozen=True):
    """How many rows went."""

    erased: int


_DECODER = msgspec.json.Decoder(Declarations)


class Projects:
    """Feedback types and erasure for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def feedback_types(self, request: Request) -> Response:
        """`GET /projects/{project}/feedback-types`: the defaults and what was declared."""
        access = await authorize(request, "read")
        project = _project(request, access)
        return answer(await self._service.read(lambda: self._types(project, access)))

    async def put_feedback_types(self, request: Request) -> Response:
        """`PUT` of the same: declares each type of the body, all or none; others stay."""
        access = await authorize(request, "admin")
        project = _project(request, access)
        body, _ = decoded(await self._service.bodies.read(request), _DECODER)
        return answer(await self._service.read(lambda: self._declare(body, project, access)))

    async def erase(self, request: Request) -> Response:
        """`DELETE /users/{user}`: the user's generations and feedback go."""
        access = await authorize(request, "admin")
        user = clean(request.path_params["user"])
        return answer(await self._service.read(lambda: self._erase(user, access)))

    def _types(self, project: str, access: Access) -> FeedbackTypes:
        return FeedbackTypes(list(self._service.desk(access).types(project, fresh=True).values()))

    def _declare(self, body: Declarations, project: str, access: Access) -> FeedbackTypes:
        definitions = []
        for index, given in enumerate(body.feedback_types):
            try:
                definitions.append(
                    declare(
                        given.name, given.cls, given.labels or None, given.minimum, given.maximum,
                        given.step, given.signal,
                    )
                )  # fmt: skip
            except InvalidInput as error:
                place = f"feedback_types[{index}].{error.field or 'name'}"
                raise InvalidInput(str(error), field=place) from None
        store = self._service.store(access)
        for definition in definitions:
            store.put_feedback_type(project, definition)
        return self._types(project, access)

    def _erase(self, user: str, access: Access) -> Erased:
        return Erased(self._service.client.erase(user, access.project))


def _project(request: Request, access: Access) -> str:
    try:
        project = check_project(request.path_params["project"])
    except ConfigError as error:
        raise InvalidInput(str(error), field="project") from None
    access.check_project(project)
    return project
