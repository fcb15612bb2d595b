"""The demo's web app: chat page, streamed answers, feedback routes and Logs pages (layer 6)."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes
from afterword.cli.demo.answers import Answer, build_answer
from afterword.cli.demo.chat_model import ChatModel, explain_failure
from afterword.cli.demo.questions import MESSAGE_CHARACTERS, Question, read_question
from afterword.server import create_app
from afterword.server.security import SecurityHeaders

__all__ = ["create_demo_app"]

_HERE = Path(__file__).parent
_EXAMPLES = (
    "How should I think about competition for my startup?",
    "Write two sentences that welcome a new customer.",
    "Why is the sky blue?",
)
_logger = logging.getLogger(__name__)


def create_demo_app(client: afterword.Client, model: ChatModel) -> Starlette:
    """The demo as an ASGI app: answers come from `model`, records go to `client`."""
    answer = build_answer(client, model)
    page = _render_page(model)

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page)

    async def chat(request: Request) -> Response:
        question = await read_question(request)
        return StreamingResponse(
            _frames(answer, question),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    feedback = feedback_routes(client=client)
    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/chat", chat, methods=["POST"]),
            Route("/healthz", health),
            # By hand people leave the slash out, and few clients post again after a redirect.
            Route("/feedback", feedback[0].endpoint, methods=["POST"]),
            Mount("/feedback", routes=feedback),
            Mount("/afterword", app=create_app(client)),
            Mount("/static", app=StaticFiles(directory=_HERE / "static")),
        ],
        middleware=[Middleware(FeedbackMiddleware, client=client), Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: _show_problem},
    )


async def _frames(answer: Answer, question: Question) -> AsyncIterator[str]:
    try:
        async with aclosing(_asked(answer, question)) as deltas:
            async for delta in deltas:
                yield _frame({"delta": delta})
    except Exception as error:
        _logger.warning("An answer failed: %s: %s", type(error).__name__, error)
        yield _frame({"detail": explain_failure(error)}, event="error")
    else:
        yield _frame({"data_id": afterword.last_data_id()}, event="done")


def _asked(answer: Answer, question: Question) -> AsyncGenerator[str, None]:
    if question.history:
        return answer(question.message, question.history)
    return answer(question.message)


def _frame(content: dict[str, str | None], event: str | None = None) -> str:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(content, ensure_ascii=False)}\n\n"


async def _show_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 405:
        detail = f"{request.url.path} does not take {request.method}."
    return JSONResponse({"detail": detail}, status_code=error.status_code, headers=error.headers)


def _render_page(model: ChatModel) -> str:
    templates = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True)
    return templates.get_template("chat.html").render(
        model=model, examples=_EXAMPLES, message_characters=MESSAGE_CHARACTERS
    )
