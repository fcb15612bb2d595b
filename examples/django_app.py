"""A Django project under ASGI, in one file: sync and async views, and feedback beside them."""

import asyncio
import json

import django
import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

import afterword
from afterword.asgi import FeedbackMiddleware, feedback_routes

settings.configure(
    SECRET_KEY="change me", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["site.example"], MIDDLEWARE=[]
)
django.setup()
client = afterword.configure("sqlite:///django_app.db")


@afterword.generation
def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


@afterword.generation
async def words(question: str):
    for word in ("You", "asked:", question):
        yield f"{word} "


def chat(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": answer(json.loads(request.body)["message"])})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(words(json.loads(request.body)["message"]), "text/plain")


urlpatterns = [path("chat", chat), path("stream", stream)]
site = Starlette(
    routes=[Mount("/feedback", routes=feedback_routes()), Mount("/", get_asgi_application())]
)
application = FeedbackMiddleware(site)  # in asgi.py of a project of several files


async def play() -> None:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://site.example") as browser:
        for view in ("/chat", "/stream"):
            response = await browser.post(view, json={"message": "Why is the sky blue?"})
            token = response.headers["Afterword-Feedback-Token"]
            rating = {"token": token, "type": "rating", "value": "good"}
            posted = await browser.post("/feedback/", json=rating)
            generation = client.get(response.headers["Afterword-Data-Id"])
            print(view, posted.status_code, generation.output, generation.feedback[0].value)


if __name__ == "__main__":
    asyncio.run(play())
