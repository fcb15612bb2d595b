"""Server-sent events: the headers name the answer before its first word, and a frame does too."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes, sse_event

client = afterword.configure("sqlite:///sse_streaming.db")


@afterword.generation
async def words(question: str) -> AsyncIterator[str]:
    for word in f"You asked: {question}".split():  # a stand-in for your model
        await asyncio.sleep(0)
        yield word + " "


async def chat(request: Request) -> StreamingResponse:
    async def frames() -> AsyncIterator[str]:
        yield sse_event()  # for EventSource, which cannot read headers
        async for word in words(request.query_params["q"]):
            yield f"data: {json.dumps({'delta': word})}\n\n"

    return StreamingResponse(frames(), media_type="text/event-stream")


app = Starlette(
    routes=[Route("/chat", chat), Mount("/feedback", routes=feedback_routes())],
    middleware=[Middleware(FeedbackMiddleware)],
)

if __name__ == "__main__":
    response = TestClient(app).get("/chat", params={"q": "Why?"})
    print(response.text.splitlines()[0])
    generation = client.get(response.headers["Afterword-Data-Id"])
    print(generation.status, repr(generation.output), f"{generation.first_token_ms:.1f} ms")
