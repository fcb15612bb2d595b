"""What the routes of the API share: the client, its commits, bodies, and one desk a project (layer 5)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from afterword.client import Client
from afterword.default import default_client
from afterword.desk import Desk
from afterword.server.api.bodies import Bodies
from afterword.server.api.commits import Commits
from afterword.server.auth import Access
from afterword.server.project_view import ProjectView, Seen
from afterword.stores.protocol import Store

__all__ = ["Service"]

_DESKS_KEPT = 1_000

T = TypeVar("T")


class Service:
    """One API over one client; with None, over the default client, looked up for each request."""

    def __init__(self, client: Client | None) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._commits: tuple[Store, Commits] | None = None
        self._desks: OrderedDict[str, tuple[Store, Desk]] = OrderedDict()
        #: What has been ingested or asked for lately.
        self.seen = Seen()
        self.bodies = Bodies()

    @property
    def client(self) -> Client:
        return default_client() if self._client is None else self._client

    @property
    def commits(self) -> Commits:
        """The shared commits of the client's store."""
        store = self.client.store
        with self._lock:
            if self._commits is None or self._commits[0] is not store:
                self._commits = (store, Commits(store))
            return self._commits[1]

    def store(self, access: Access) -> Store:
        """As much of the store as the access covers."""
        store = self.client.store
        return store if access.project is None else ProjectView(store, access.project)

    def desk(self, access: Access) -> Desk:
        """The feedback desk of the access's project, or the client's own."""
        client, project = self.client, access.project
        if project is None:
            return client.desk
        with self._lock:
            kept = self._desks.get(project)
            if kept is None or kept[0] is not client.store:
                view = ProjectView(client.store, project, self.seen)
                desk = Desk(view, client.recorder, client.redactor, project)
                kept = self._desks[project] = (client.store, desk)
                if len(self._desks) > _DESKS_KEPT:
                    self._desks.popitem(last=False)
            return kept[1]

    def check_own(self, access: Access, data_id: str) -> None:
        """Refuse with 403 the ID of a generation that only another project has."""
        store = self.client.store
        if access.project is None or store.project_of(data_id) in (None, access.project):
            return
        if store.generation(data_id, access.project) is None:
            other = store.generation(data_id)
            if other is not None and other.status != "waiting":
                access.check_project(other.project)

    async def read(self, work: Callable[[], T]) -> T:
        """Run what reads the store, without blocking the event loop."""
        return await run_in_threadpool(work)


def not_found(what: str) -> HTTPException:
    """A 404 that says what there is none of."""
    return HTTPException(HTTPStatus.NOT_FOUND, what)
