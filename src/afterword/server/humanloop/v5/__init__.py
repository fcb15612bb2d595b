"""Humanloop's v5 API as far as it carries logs, calls and judgments (layer 5).

Its files (prompts, flows, tools) are projects here, by their paths, and its evaluators are feedback
types. Sources: what the SDK 0.8 sends, and the types it reads answers with.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from afterword.client import Client
from afterword.server.humanloop.v5 import (
    calling,
    evaluator_routes,
    log_routes,
    reading_routes,
    trace_routes,
)
from afterword.server.humanloop.wire import Call, Refused, Routes

__all__ = ["v5_routes"]


def v5_routes(client: Client | None = None) -> list[Route]:
    """The routes below ``/v5``. With `client` None the default client is looked up each time."""
    routes = Routes(client, "/v5")
    for module in (calling, log_routes, evaluator_routes, reading_routes, trace_routes):
        module.add_routes(routes)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        routes.add(method, "/{path:path}", "read", _unknown)
    return routes.found


def _unknown(call: Call) -> Any:
    raise Refused(404, "Humanloop's v5 API has nothing here that Afterword knows.")
