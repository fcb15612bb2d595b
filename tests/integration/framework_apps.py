"""One set of endpoints in Starlette and in FastAPI: every kind of response."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
from fastapi import FastAPI, HTTPException
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, feedback_app, feedback_routes, handle, sse_event

ID, TOKEN = "afterword-data-id", "afterword-feedback-token"


Endpoints = dict[str, Callable[..., Any]]


def endpoints_of(client: Client) -> Endpoints:
    @afterword.generation(client=client)
    async def answer(text: str = "async") -> str:
        return text

    @afterword.generation(client=client)
    def answer_sync(text: str = "sync") -> str:
        return text

    @afterword.generation(client=client)
    async def words() -> AsyncIterator[str]:
        for word in ("a", "b", "c"):
            yield word

    @afterword.generation(client=client)
    def words_sync() -> Iterator[str]:
        yield from ("a", "b", "c")

    async def plain() -> Response:
        return JSONResponse({"text": await answer()})

    def plain_sync() -> Response:
        return JSONResponse({"text": answer_sync()})

    async def stream() -> Response:
        return StreamingResponse(words())

    def stream_sync() -> Response:
        return StreamingResponse(words_sync())

    async def stream_inside() -> Response:
        async def body() -> AsyncIterator[str]:
            yield await answer("in the body")

        return StreamingResponse(body())

    async def stream_inside_sync() -> Response:
        def body() -> Iterator[str]:
            yield answer_sync("in the body")

        return StreamingResponse(body())

    async def events() -> Response:
        async def body() -> AsyncIterator[Any]:
            yield sse_event().encode()
            async for word in words():
                yield {"data": word}

        return EventSourceResponse(body())

    async def several() -> Response:
        await answer("one")
        await anyio.to_thread.run_sync(answer_sync, "two")
        async with anyio.create_task_group() as group:
            group.start_soon(answer, "three")
        return JSONResponse({})

    async def refused() -> Response:
        await answer("too much")
        raise HTTPException(418, headers={"x-one": "1"})

    async def crashed() -> Response:
        await answer("and then")
        raise RuntimeError("no")

    async def nothing() -> Response:
        return JSONResponse({})

    async def empty() -> Response:
        await answer()
        return Response(status_code=204)

    async def in_background() -> Response:
        return JSONResponse({}, background=BackgroundTask(answer, "later"))

    async def in_json() -> Response:
        return JSONResponse({"text": await answer(), **handle()})

    return {name: found for name, found in locals().items() if callable(found) and name not in (
        "client", "answer", "answer_sync", "words", "words_sync")}  # fmt: skip


def starlette_app(
    endpoints: Endpoints, client: Client, *middleware: Middleware, **options: Any
) -> ASGIApp:
    def taking_request(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(endpoint):
            return lambda request: endpoint()

        async def asked(request: Request) -> Any:
            return await endpoint()

        return asked

    routes: list[BaseRoute] = [
        Route(f"/{name}", taking_request(endpoint), methods=["GET", "POST"])
        for name, endpoint in endpoints.items()
    ]
    routes.append(Mount("/feedback", routes=feedback_routes(client=client)))
    ours = Middleware(FeedbackMiddleware, client=client, **options)
    return Starlette(routes=routes, middleware=[ours, *middleware])


def fastapi_app(
    endpoints: Endpoints, client: Client, *middleware: Middleware, **options: Any
) -> ASGIApp:
    app = FastAPI()
    for name, endpoint in endpoints.items():
        app.api_route(f"/{name}", methods=["GET", "POST"])(endpoint)
    app.mount("/feedback", feedback_app(client=client))
    for found in reversed(middleware):
        app.add_middleware(found.cls, *found.args, **found.kwargs)
    app.add_middleware(FeedbackMiddleware, client=client, **options)
    return app


MAKERS = {"starlette": starlette_app, "fastapi": fastapi_app}


class PassOn(BaseHTTPMiddleware):
    """The middleware that copies the context, runs the app in a task and re-streams its body."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-passed"] = "1"
        return response
