"""A Litestar app: the middleware around it, the feedback routes mounted in it."""

from litestar import Litestar, asgi, post
from litestar.params import JSONBody
from litestar.testing import TestClient
from litestar.types import Receive, Scope, Send

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_app, handle

client = afterword.configure("sqlite:///litestar_app.db")
feedback = feedback_app()


@afterword.generation
async def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


@post("/chat")
async def chat(data: JSONBody[dict[str, str]]) -> dict[str, str | None]:
    return {"answer": await answer(data["message"]), **handle()}


@asgi("/feedback", is_mount=True, copy_scope=True)
async def give_feedback(scope: Scope, receive: Receive, send: Send) -> None:
    await feedback(scope, receive, send)


app = FeedbackMiddleware(Litestar([chat, give_feedback], logging_config=None))

if __name__ == "__main__":
    with TestClient(app) as browser:
        response = browser.post("/chat", json={"message": "Why is the sky blue?"})
        token = response.headers["Afterword-Feedback-Token"]
        rating = {"token": token, "type": "rating", "value": "good"}
        posted = browser.post("/feedback/", json=rating)
        print(posted.status_code, posted.json())
        print(client.get(response.json()["data_id"]).feedback[0].value)
