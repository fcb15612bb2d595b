"""``/api/v1``: generations and feedback over HTTP (layer 5)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from afterword.server.api.answers import Handler, endpoint
from afterword.server.api.exporting import Exporting
from afterword.server.api.feedback import FeedbackDesk
from afterword.server.api.ingest import Ingest
from afterword.server.api.openapi import openapi
from afterword.server.api.projects import Projects
from afterword.server.api.reading import Reading
from afterword.server.api.remote_store import RemoteStore
from afterword.server.api.service import Service

__all__ = ["Service", "api_routes"]

PREFIX = "/api/v1"


def api_routes(service: Service) -> list[BaseRoute]:
    """The routes of the API, for an app that `create_app` makes."""
    ingest, desk = Ingest(service), FeedbackDesk(service)
    reading, projects = Reading(service), Projects(service)
    remote, exporting = RemoteStore(service), Exporting(service)

    # One route a path, so that a 405 names every method there is.
    paths: dict[str, dict[str, Handler]] = {
        "/openapi.json": {"GET": openapi},
        "/generations": {"GET": reading.page, "POST": ingest.post},
        "/generations/{data_id:path}": {"GET": reading.one},
        "/feedback": {"POST": desk.post},
        "/export/{kind:path}": {"GET": exporting.file},
        "/projects/{project:path}/feedback-types": {
            "GET": projects.feedback_types,
            "PUT": projects.put_feedback_types,
        },
        "/store/{name}": {"POST": remote.call},
        "/users/{user:path}": {"DELETE": projects.erase},
    }
    return [
        Route(PREFIX + path, endpoint(_by_method(handlers)), methods=list(handlers))
        for path, handlers in paths.items()
    ]


def _by_method(handlers: Mapping[str, Handler]) -> Handler:
    async def handle(request: Request) -> Response:
        # Starlette answers HEAD where there is GET.
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return handle
