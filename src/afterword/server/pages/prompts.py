"""The page of prompts: versions, what differs, and forms to register and deploy (layer 5)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from afterword.client import Client
from afterword.configuration import check_project
from afterword.default import default_client
from afterword.errors import ConfigError, InvalidInput
from afterword.prompts import (
    PRODUCTION,
    PromptShelf,
    PromptVersion,
    content_lines,
    difference,
    make_version,
    template_of,
)
from afterword.server.auth import access_of
from afterword.server.pages.rendering import error_page, link, render
from afterword.server.pages.review import Form, FormError, read_form
from afterword.server.security import cross_site_reason

__all__ = ["PromptPages"]

_MARKS = {"+": "added", "-": "removed"}


class PromptPages:
    """The page of prompts of one client; None means the default client, looked up each time."""

    def __init__(self, client: Client | None) -> None:
        self._client = client

    def routes(self) -> list[BaseRoute]:
        """The routes, for the app of the Logs pages."""
        return [
            Route("/prompts", self.page, name="prompts"),
            Route("/prompts", self.take, methods=["POST"]),
        ]

    def page(self, request: Request) -> Response:
        """`GET /prompts`: projects, versions of one, and the difference of two."""
        return self._page(request, {}, None)

    async def take(self, request: Request) -> Response:
        """`POST /prompts`: register a version or deploy one, then the page of its project."""
        reason = cross_site_reason(request.headers, request.url.scheme)
        if reason is not None or not access_of(request).may("admin"):
            told = reason or "Only a key with the scope admin may change prompts."
            return error_page(request, HTTPStatus.FORBIDDEN, "This form was refused", told)
        try:
            form = await read_form(request)
        except FormError as error:
            return error_page(request, error.status_code, "This form could not be read", str(error))
        return await run_in_threadpool(self._keep, request, form)

    def _keep(self, request: Request, form: Form) -> Response:
        given = {name: values[0] for name, values in form.items()}
        project = given.get("project", "").strip()
        try:
            access_of(request).check_project(project)
            shelf = PromptShelf(self._of().store)
            if "deploy" in given:
                environment = given.get("environment", "").strip() or PRODUCTION
                shelf.deploy(project, given["deploy"], environment)
                chosen = {}
            else:
                chosen = {
                    "new": shelf.register(_named(project), _made(given), deploy_first=True).id
                }
        except InvalidInput as error:
            return self._page(request, given, str(error))
        asked = urlencode({"project": project, **chosen})
        return RedirectResponse(f"{link(request, 'prompts')}?{asked}", HTTPStatus.SEE_OTHER)

    def _of(self) -> Client:
        return default_client() if self._client is None else self._client

    def _page(self, request: Request, given: dict[str, str], problem: str | None) -> Response:
        only = access_of(request).project
        shelf = PromptShelf(self._of().store)
        projects = [name for name in shelf.projects() if only in (None, name)]
        asked = request.query_params.get("project", "") or given.get("project", "")
        project = asked if asked in projects else next(iter(projects), "")
        versions = shelf.versions(project) if project else []
        places: dict[str, list[str]] = {}
        for environment, version_id in shelf.deployments(project).items() if project else ():
            places.setdefault(version_id, []).append(environment)
        # Without a choice, the newest against the one before it.
        new = _chosen(versions, request.query_params.get("new"), 0)
        old = _chosen(versions, request.query_params.get("old"), 1)
        changes = difference(old, new) if old and new else []
        return render(
            request,
            "prompts.html",
            200 if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            banner=None,
            problem=problem,
            given=given,
            may_change=access_of(request).may("admin"),
            environment=PRODUCTION,
            projects=projects,
            project=project,
            versions=versions,
            places=places,
            old=old.id if old else "",
            new=new.id if new else "",
            shown=new,
            content=content_lines(new) if new else [],
            changes=[(_MARKS.get(line[:1], "same"), line) for line in changes[2:]],
        )


def _chosen(
    versions: list[PromptVersion], version_id: str | None, otherwise: int
) -> PromptVersion | None:
    for version in versions:
        if version.id == version_id:
            return version
    return versions[otherwise] if len(versions) > otherwise else None


def _named(project: str) -> str:
    try:
        return check_project(project)
    except ConfigError as error:
        raise InvalidInput(str(error), field="project") from None


def _made(given: dict[str, str]) -> PromptVersion:
    """The version that a form describes."""
    text = given.get("parameters", "").strip() or "{}"
    try:
        parameters: Any = json.loads(text)
    except ValueError:
        parameters = None
    if not isinstance(parameters, dict):
        raise InvalidInput('parameters must be a JSON object, as {"temperature": 0.2}')
    return make_version(
        model=given.get("model", "").strip(),
        provider=given.get("provider", "").strip() or None,
        template=template_of(given.get("template", "").replace("\r\n", "\n")),
        parameters=parameters,
        name=given.get("name", "").strip() or None,
    )
