"""Templates to responses, with links that hold wherever the app is mounted (layer 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from afterword.server.pages import format as formats
from afterword.server.pages import text
from afterword.server.pages.conversation import conversation
from afterword.server.pages.query import encoded_filter

__all__ = ["STATIC_FOLDER", "error_page", "link", "render"]

_FOLDER = Path(__file__).parent
STATIC_FOLDER = _FOLDER / "static"


def link(request: Request, name: str, **path_params: str) -> str:
    """The path of a page from the root of the host, whatever the app is mounted under.

    `Request.url_for` asks the outermost router, which does not know this app's names.
    """
    path = str(request.app.url_path_for(name, **path_params))
    root_path = quote(request.scope.get("root_path", "").strip("/"))
    return f"/{root_path}{path}" if root_path else path


def render(request: Request, template: str, status_code: int = 200, **context: Any) -> HTMLResponse:
    """A page from a template. Text that goes in is escaped, hidden characters are written out."""

    def link_to(name: str, **path_params: str) -> str:
        return link(request, name, **path_params)

    page = _ENVIRONMENT.get_template(template).render(
        link=link_to, css=f"{link_to('static', path='logs.css')}?v={_CSS_VERSION}", **context
    )
    return HTMLResponse(page, status_code=status_code)


def error_page(
    request: Request, status_code: int, title: str, reason: str, hint: str = ""
) -> HTMLResponse:
    """A page that says what went wrong. It needs nothing of the store."""
    return render(
        request,
        "error.html",
        status_code,
        banner=None,
        status=status_code,
        title=title,
        reason=reason,
        hint=hint,
    )


def _finalized(value: Any) -> Any:
    # Runs on every expression of every template, attributes too, so nothing hidden gets past.
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return text.visible(value) if is_text else value


_FILTERS: dict[str, Callable[..., Any]] = {
    "show": text.as_markup,
    "lines": text.as_lines,
    "field": text.as_field,
    "fold": text.fold,
    "preview": text.preview,
    "conversation": conversation,
    "as_filter": encoded_filter,
    "moment": formats.moment,
    "duration": formats.duration,
    "count": formats.count,
    "cost": formats.cost,
    "short_id": formats.short_id,
    "short_name": formats.short_name,
    "value_text": formats.value_text,
    "rater": formats.rater,
}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment


_ENVIRONMENT = _environment()
_CSS_VERSION = hashlib.sha256((STATIC_FOLDER / "logs.css").read_bytes()).hexdigest()[:12]
