"""Humanloop's v4 API, for code that calls it through the unmodified SDK (layer 5)."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from afterword.client import Client
from afterword.server.humanloop import (
    config_routes,
    feedback_routes,
    generating,
    log_routes,
    project_routes,
    session_routes,
)
from afterword.server.humanloop.wire import Call, Refused, Routes

__all__ = ["humanloop_routes"]

_GONE = ("evaluators", "evaluations", "experiments", "finetunes", "datasets", "datapoints")


def humanloop_routes(client: Client | None = None) -> list[Route]:
    """The routes below ``/v4``. With `client` None the default client is looked up each time."""
    routes = Routes(client, "/v4")
    for module in (
        generating, feedback_routes, log_routes, config_routes, project_routes, session_routes
    ):  # fmt: skip
        module.add_routes(routes)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        routes.add(method, "/{path:path}", "read", _unknown)
    return routes.found


def _unknown(call: Call) -> Any:
    first = call.path["path"].split("/")[0]
    if first in _GONE:
        raise Refused(
            410,
            f"Humanloop's {first} are not part of Afterword; its feedback, logs and prompts are.",
        )
    raise Refused(404, "Humanloop's v4 API has nothing here that Afterword knows.")
