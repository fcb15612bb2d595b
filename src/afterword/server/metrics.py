"""``GET /healthz`` and ``GET /metrics``, at the root (layer 5).

The metrics are in Prometheus's text format 0.0.4, as its documentation describes it.
"""

from __future__ import annotations

import hashlib

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from afterword.delivery.contents import contents_of
from afterword.errors import StoreError
from afterword.server.api.answers import answer, endpoint
from afterword.server.api.service import Service
from afterword.server.auth import authorize, key_of

__all__ = ["metrics_routes"]

_RECORDS = ("captured", "stored", "buffered", "spooled", "dead_lettered", "dropped")
_KEYS_KEPT = 100
_NOW = ("buffered", "spooled", "dead_lettered")


class Metrics:
    """Health and counts of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        #: Digests of the keys, or of none, that were let in.
        self._admitted: set[bytes] = set()

    async def health(self, request: Request) -> Response:
        """`GET /healthz`: 200 when the store can be read, 503 when not. Needs no key."""
        await self._service.read(self._service.client.store.facts)
        return answer({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """`GET /metrics`: this process's counts. Needs a key with the scope read once there is one."""
        await self._admit(request)
        # The spool is looked at on disk; the store is not asked, so that it may be away.
        text = await run_in_threadpool(self.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _admit(self, request: Request) -> None:
        # The counts are wanted most while the store is away, which knows the keys: then whoever was
        # let in last may read on.
        digest = hashlib.sha256((key_of(request) or "").encode("utf-8", "replace")).digest()
        try:
            await authorize(request, "read")
        except StoreError:
            if digest not in self._admitted:
                raise
        except HTTPException:
            self._admitted.discard(digest)
            raise
        else:
            if len(self._admitted) >= _KEYS_KEPT:
                self._admitted.clear()
            self._admitted.add(digest)

    def text(self) -> str:
        """The metrics as Prometheus reads them."""
        status, commits = self._service.client.status(), self._service.commits
        lines: list[str] = []
        for name in _RECORDS:
            kind = "gauge" if name in _NOW else "counter"
            suffix = "" if name in _NOW else "_total"
            told = f"Records of this process that are {name.replace('_', ' ')}."
            lines += _metric(f"afterword_records_{name}{suffix}", kind, told, getattr(status, name))
        lines += _metric(
            "afterword_faults_total", "counter", "Errors inside Afterword.", status.faults
        )
        for name, told in (
            ("accepted", "Generations that the API took."),
            ("duplicates", "Generations that the API was given again."),
            ("conflicts", "Generations given again that said something else, which was not kept."),
            ("commits", "Commits that the API's requests shared."),
        ):
            lines += _metric(f"afterword_api_{name}_total", "counter", told, getattr(commits, name))
        lines += self._spool()
        held = self._service.bodies.in_hand_bytes
        lines += _metric("afterword_api_in_hand_bytes", "gauge", "Bodies in hand.", held)
        return "\n".join([*lines, ""])

    def _spool(self) -> list[str]:
        """What is in the spool's folder, whichever process put it there."""
        try:
            found = contents_of(self._service.client.recorder.spool.files)
        except OSError:
            return []
        lines: list[str] = []
        for name, told, value in (
            ("bytes", "Bytes in the spool on this disk, dead letters included.", found.size_bytes),
            ("segments", "Files with records that the store may not have yet.", found.segments),
            ("dead_letters", "Records that the store refused.", found.dead_letters),
            ("damaged", "Pieces of the spool that could not be read.", found.damaged),
        ):
            lines += _metric(f"afterword_spool_{name}", "gauge", told, value)
        return lines


def metrics_routes(service: Service) -> list[BaseRoute]:
    """The two routes."""
    metrics = Metrics(service)
    return [
        Route("/healthz", endpoint(metrics.health)),
        Route("/metrics", endpoint(metrics.metrics)),
    ]


def _metric(name: str, kind: str, told: str, value: int) -> list[str]:
    return [f"# HELP {name} {told}", f"# TYPE {name} {kind}", f"{name} {value}"]
