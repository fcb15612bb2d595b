"""A Starlette app: two lines for the loop, and a test client that plays the browser."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes

client = afterword.configure("sqlite:///starlette_app.db")


@afterword.generation
async def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


async def chat(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await answer((await request.json())["message"]))


app = Starlette(
    routes=[
        Route("/chat", chat, methods=["POST"]),
        Mount("/feedback", routes=feedback_routes()),
    ],
    middleware=[Middleware(FeedbackMiddleware)],
)

if __name__ == "__main__":
    browser = TestClient(app)
    response = browser.post("/chat", json={"message": "Why is the sky blue?"})
    token = response.headers["Afterword-Feedback-Token"]
    posted = browser.post("/feedback/", json={"token": token, "type": "rating", "value": "good"})
    print(posted.status_code, posted.json())
    print(client.get(response.headers["Afterword-Data-Id"]).feedback[0].value)
