"""The server's ASGI app: the API, Humanloop's API and the Logs pages (layer 5)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from afterword.client import Client
from afterword.server.api import Service, api_routes
from afterword.server.auth import Gate
from afterword.server.failures import HANDLERS
from afterword.server.guard import HostGuard, PageGuard
from afterword.server.humanloop import humanloop_routes
from afterword.server.humanloop.v5 import v5_routes
from afterword.server.metrics import metrics_routes
from afterword.server.pages.prompts import PromptPages
from afterword.server.pages.signing_in import SigningIn
from afterword.server.pages.views import LogsPages
from afterword.server.security import SecurityHeaders

__all__ = ["create_app"]


def create_app(
    client: Client | None = None,
    *,
    is_public: bool = False,
    hosts: Collection[str] | None = None,
) -> Starlette:
    """The API and the Logs pages as an ASGI app, to serve alone or to mount inside another app.

    With `client` None the default client is looked up for each request, so `configure` may come
    later. As long as no API key was ever made for the store, everything is open: mount it behind
    your own login, or serve it on loopback. From the first key on everything needs one; with
    `is_public` from the start. `hosts` are the host names to answer for, None any: give them
    where no key is needed, so that no page of another site can reach the app by DNS rebinding.
    """
    gate, service = Gate(client, is_public=is_public), Service(client)
    app = _SecuredApp(
        hosts,
        gate,
        routes=[
            *api_routes(service),
            *metrics_routes(service),
            *humanloop_routes(client),
            *v5_routes(client),
            *SigningIn(gate).routes(),
            *PromptPages(client).routes(),
            *LogsPages(client).routes(),
        ],
        exception_handlers=dict(HANDLERS),
    )
    app.state.gate = gate
    return app


class _SecuredApp(Starlette):
    """Starlette with the security headers outside its error handling, so that errors have them."""

    def __init__(self, hosts: Collection[str] | None, gate: Gate, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._hosts, self._gate = hosts, gate

    def build_middleware_stack(self) -> ASGIApp:
        guarded = PageGuard(super().build_middleware_stack(), self._gate)
        return SecurityHeaders(HostGuard(guarded, self._hosts))
