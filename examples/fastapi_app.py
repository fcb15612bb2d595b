"""A FastAPI app that knows its users: one user cannot rate with another's token."""

from fastapi import FastAPI
from fastapi.testclient import TestClient

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_app, handle

client = afterword.configure("sqlite:///fastapi_app.db")
app = FastAPI()
app.mount("/feedback", feedback_app())


def user_of(scope) -> str | None:
    """Whom your own authentication found; here, a header stands in for it."""
    return dict(scope["headers"]).get(b"x-user", b"").decode() or None


app.add_middleware(FeedbackMiddleware, user=user_of)


@afterword.generation
def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


@app.post("/chat")
def chat(message: str) -> dict[str, str | None]:
    return {"answer": answer(message), **handle()}  # the data ID and token in the body, too


if __name__ == "__main__":
    browser = TestClient(app)
    told = browser.post("/chat", params={"message": "Why?"}, headers={"X-User": "ada"}).json()
    rating = {"token": told["token"], "type": "rating", "value": "good"}
    print("ada:", browser.post("/feedback/", json=rating, headers={"X-User": "ada"}).status_code)
    print("bob:", browser.post("/feedback/", json=rating, headers={"X-User": "bob"}).status_code)
    print("recorded for:", client.get(told["data_id"]).feedback[0].user)
