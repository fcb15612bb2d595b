"""The pages themselves: the list, one generation, and a reviewer's form (layer 5).

Views are plain functions: the client blocks, and Starlette runs them in threads.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from afterword.client import Client
from afterword.default import default_client
from afterword.desk import Desk, wait
from afterword.errors import InvalidInput
from afterword.ids import new_id
from afterword.listing import one
from afterword.model import Generation, Page
from afterword.server.auth import access_of
from afterword.server.pages.banner import banner_of
from afterword.server.pages.query import LogQuery, feedback_choices
from afterword.server.pages.rendering import STATIC_FOLDER, error_page, link, render
from afterword.server.pages.review import (
    DEFAULT_REVIEWER,
    Form,
    FormError,
    read_form,
    retraction,
    review_entries,
    review_fields,
    reviewer_of,
)
from afterword.server.project_view import ProjectView
from afterword.server.security import cross_site_reason
from afterword.server.static import CachedFiles

__all__ = ["LogsPages"]

_PAGE_SIZE = 50
_MAX_HISTORY = 300


class LogsPages:
    """The Logs pages of one client; None means the default client, looked up for each request."""

    def __init__(self, client: Client | None) -> None:
        self._client = client

    def routes(self) -> list[BaseRoute]:
        """The routes, for a Starlette app of their own."""
        return [
            Route("/", self.list_page, name="logs"),
            Route("/generations/{data_id}", self.detail_page, name="generation"),
            Route(
                "/generations/{data_id}/feedback",
                self.take_feedback,
                methods=["POST"],
                name="feedback",
            ),
            Mount("/static", CachedFiles(directory=STATIC_FOLDER), name="static"),
        ]

    @property
    def client(self) -> Client:
        return default_client() if self._client is None else self._client

    def list_page(self, request: Request) -> Response:
        """`GET /`: generations newest first, filtered, a page at a time."""
        client = self.client
        access = access_of(request)
        query = LogQuery.read(request.query_params)
        if access.project is not None:
            access.check_project(query.project or None)
            query = replace(query, project=access.project)
        types = client.feedback_types(project=query.project or None)
        problem: InvalidInput | None = None
        page: Page[Generation] = Page(items=(), next=None)
        try:
            page = client.generations(**query.arguments(types), limit=_PAGE_SIZE)
        except InvalidInput as error:
            problem = error
        projects = client.projects() if access.project is None else [access.project]
        if query.project and query.project not in projects:
            projects = [*projects, query.project]
        return render(
            request,
            "list.html",
            200 if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            banner=banner_of(client),
            query=query,
            page=page,
            problem=None if problem is None else str(problem),
            projects=projects,
            choices=feedback_choices(types, query.feedback),
        )

    def detail_page(self, request: Request) -> Response:
        """`GET /generations/{data_id}`: everything about one generation, and the form."""
        return self._detail(request, self._generation(request))

    async def take_feedback(self, request: Request) -> Response:
        """`POST /generations/{data_id}/feedback`: keep a reviewer's feedback, then the page."""
        reason = cross_site_reason(request.headers, request.url.scheme)
        if reason is not None:
            return error_page(
                request,
                HTTPStatus.FORBIDDEN,
                "This form was refused",
                reason,
                "Open the page itself and send the form from there. Behind a proxy, let it pass"
                " the Host header on unchanged.",
            )
        try:
            form = await read_form(request)
        except FormError as error:
            return error_page(request, error.status_code, "This form could not be read", str(error))
        return await run_in_threadpool(self._keep_feedback, request, form)

    def _keep_feedback(self, request: Request, form: Form) -> Response:
        generation = self._generation(request)
        try:
            if "retract" in form:
                entries = [retraction(generation, form["retract"][0])]
            else:
                types = self.client.feedback_types(project=generation.project)
                entries = review_entries(form, generation, types)
            self._keep(entries, access_of(request).project)
        except InvalidInput as error:
            return self._detail(request, generation, form=form, problem=str(error))
        path = link(request, "generation", data_id=generation.id)
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)

    def _keep(self, entries: list[dict[str, Any]], project: str | None) -> None:
        client = self.client
        if project is None:
            client.feedback(entries)
            return
        desk = Desk(ProjectView(client.store, project), client.recorder, client.redactor, project)
        groups = desk.rows(entries, default_data_id=new_id, listed=True)
        for row in (row for rows in groups for row in rows):
            row.provisional = False
        wait(groups, desk.submit(groups))

    def _generation(self, request: Request) -> Generation:
        data_id = request.path_params["data_id"]
        project = access_of(request).project
        if project is None:
            found = self.client.get(data_id)
        else:
            view = ProjectView(self.client.store, project)
            known = data_id if view.project_of(data_id) else view.resolve(data_id)
            found = None if known is None else one(view, known, rather=project)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"No generation has the data ID {data_id}.")
        return found

    def _detail(
        self,
        request: Request,
        generation: Generation,
        form: Form | None = None,
        problem: str | None = None,
    ) -> Response:
        types = self.client.feedback_types(project=generation.project)
        return render(
            request,
            "detail.html",
            200 if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            banner=banner_of(self.client),
            generation=generation,
            fields=review_fields(generation, types, form),
            reviewer="" if form is None else reviewer_of(form),
            default_reviewer=DEFAULT_REVIEWER,
            problem=problem,
            current_ids={feedback.id for feedback in generation.feedback},
            history=generation.feedback_history[-_MAX_HISTORY:],
            history_left_out=max(0, len(generation.feedback_history) - _MAX_HISTORY),
        )
