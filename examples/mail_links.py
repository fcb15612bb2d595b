"""A mail that asks "was this good?": opening a link changes nothing, its button records."""

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import afterword
from afterword.asgi import feedback_routes, link

client = afterword.configure("sqlite:///mail_links.db")
app = Starlette(routes=[Mount("/feedback", routes=feedback_routes())])
WHERE = "https://app.example.com/feedback"


@afterword.generation
def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


def mail(user: str, question: str) -> tuple[str, dict[str, str]]:
    with afterword.trail(user=user) as trail:
        text = answer(question)
    client.flush()  # the mail may be read before the next batch is written
    links = {
        value: link(trail.last, "rating", value, user=user, base_url=WHERE)
        for value in ("good", "bad")
    }
    return f"{text}\n\nGood answer: {links['good']}\nBad answer: {links['bad']}", links


if __name__ == "__main__":
    text, links = mail("ada@example.com", "Why is the sky blue?")
    print(text)
    browser = TestClient(app, base_url="https://app.example.com")
    print("a scanner looks:", browser.get(links["bad"]).status_code)
    print("ada presses the button:", browser.post(links["good"]).status_code)
    (feedback,) = client.generations().items[0].feedback
    print(feedback.user, "said", feedback.value)
