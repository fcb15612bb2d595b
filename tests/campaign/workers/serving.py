"""The app that `test_campaign_process_gunicorn` lets gunicorn load before it forks its workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

sys.path.append(str(Path(__file__).parent.parent))

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


async def chat(request: Request) -> PlainTextResponse:
    return PlainTextResponse(answer(request.query_params["q"]))


async def process(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(
    routes=[
        Route("/chat", chat, methods=["POST"]),
        Route("/process", process),
        Mount("/feedback", routes=feedback_routes()),
    ]
)
app.add_middleware(FeedbackMiddleware)

# What an app may do while it is loaded: the store, a recorder's thread and a connection are there by then.
answer("loading")
assert afterword.flush(20)
