"""Who may use Humanloop's routes (layer 5): the seam to the server's keys."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

__all__ = ["Access", "authorize"]


@dataclass(frozen=True, slots=True)
class Access:
    """What a request may touch: one project, or all of them when `project` is None."""

    project: str | None = None


async def authorize(request: Request, scope: str) -> Access:
    """The access that the request's key gives."""
    return Access()
