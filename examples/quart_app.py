"""A Quart app: the feedback routes beside it, the middleware around both."""

import asyncio

import httpx
from quart import Quart, request
from starlette.applications import Starlette
from starlette.routing import Mount

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes

client = afterword.configure("sqlite:///quart_app.db")
chat_app = Quart(__name__)


@afterword.generation
async def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


@chat_app.post("/chat")
async def chat() -> dict[str, str]:
    return {"answer": await answer((await request.get_json())["message"])}


site = Starlette(routes=[Mount("/feedback", routes=feedback_routes()), Mount("/", chat_app)])
app = FeedbackMiddleware(site)


async def play() -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://site.example") as browser:
        response = await browser.post("/chat", json={"message": "Why is the sky blue?"})
        token = response.headers["Afterword-Feedback-Token"]
        rating = {"token": token, "type": "rating", "value": "good"}
        posted = await browser.post("/feedback/", json=rating)
        print(posted.status_code, posted.json())
        print(client.get(response.headers["Afterword-Data-Id"]).feedback[0].value)


if __name__ == "__main__":
    asyncio.run(play())
