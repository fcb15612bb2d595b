"""``/api/v1``: generations and feedback over HTTP (layer 5)."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from afterword.server.api.answers import Handler, endpoint
from afterword.server.api.feedback import FeedbackDesk
from afterword.server.api.ingest import Ingest
from afterword.server.api.projects import Projects
from afterword.server.api.reading import Reading
from afterword.server.api.service import Service

__all__ = ["Service", "api_routes"]

PREFIX = "/api/v1"


def api_routes(service: Service) -> list[BaseRoute]:
    """The routes of the API, for an app that `create_app` makes."""
    ingest, desk = Ingest(service), FeedbackDesk(service)
    reading, projects = Reading(service), Projects(service)

    def route(method: str, path: str, handler: Handler) -> Route:
        return Route(PREFIX + path, endpoint(handler), methods=[method])

    return [
        route("POST", "/generations", ingest.post),
        route("POST", "/feedback", desk.post),
        route("GET", "/generations", reading.page),
        route("GET", "/generations/{data_id:path}", reading.one),
        route("GET", "/projects/{project:path}/feedback-types", projects.feedback_types),
        route("PUT", "/projects/{project:path}/feedback-types", projects.put_feedback_types),
        route("DELETE", "/users/{user:path}", projects.erase),
    ]
