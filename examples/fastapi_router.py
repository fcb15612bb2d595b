"""FastAPI with an APIRouter, a dependency that finds the user, and one that makes the generation."""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.testclient import TestClient

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_app

client = afterword.configure("sqlite:///fastapi_router.db")


@afterword.generation
def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


def current_user(request: Request, x_user: Annotated[str, Header()]) -> str:
    request.state.user = x_user  # what your authentication found; the middleware reads it below
    return x_user


def answered(message: str, user: Annotated[str, Depends(current_user)]) -> str:
    return answer(message)


router = APIRouter(prefix="/api")


@router.post("/chat")
def chat(text: Annotated[str, Depends(answered)]) -> dict[str, str]:
    return {"answer": text}


app = FastAPI()
app.include_router(router)
app.mount("/feedback", feedback_app())
app.add_middleware(FeedbackMiddleware, user=lambda scope: scope.get("state", {}).get("user"))

if __name__ == "__main__":
    browser = TestClient(app)
    response = browser.post("/api/chat", params={"message": "Why?"}, headers={"X-User": "ada"})
    token = response.headers["Afterword-Feedback-Token"]
    posted = browser.post("/feedback/", json={"token": token, "type": "rating", "value": "bad"})
    generation = client.get(response.headers["Afterword-Data-Id"])
    print(posted.status_code, generation.user, generation.feedback[0].value)
