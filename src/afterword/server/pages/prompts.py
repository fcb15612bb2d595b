"""The page of prompts: a project's versions, which are deployed, and what differs (layer 5)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from afterword.client import Client
from afterword.default import default_client
from afterword.prompts import PromptShelf, PromptVersion, content_lines, difference
from afterword.server.auth import access_of
from afterword.server.pages.rendering import render

__all__ = ["PromptPages"]

_MARKS = {"+": "added", "-": "removed"}


class PromptPages:
    """The page of prompts of one client; None means the default client, looked up each time."""

    def __init__(self, client: Client | None) -> None:
        self._client = client

    def routes(self) -> list[BaseRoute]:
        """The routes, for the app of the Logs pages."""
        return [Route("/prompts", self.page, name="prompts")]

    def page(self, request: Request) -> Response:
        """`GET /prompts`: projects, versions of one, and the difference of two."""
        only = access_of(request).project
        client = default_client() if self._client is None else self._client
        shelf = PromptShelf(client.store)
        projects = [name for name in shelf.projects() if only in (None, name)]
        asked = request.query_params.get("project", "")
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
            banner=None,
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
