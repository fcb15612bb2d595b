"""A Slack bot whose answers are rated by reactions: the message's own ID stands for the data ID.

Slack's two calls are played here, signed as Slack signs them; everything else is as in production.
"""

import hashlib
import hmac
import json
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

import afterword

SIGNING_SECRET = b"from your Slack app's page"
RATINGS = {"+1": "good", "thumbsup": "good", "-1": "bad", "thumbsdown": "bad"}
client = afterword.configure("sqlite:///slack_reactions.db")


@afterword.generation
def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


def post_message(channel: str, text: str) -> str:
    """Slack's chat.postMessage, which answers with the new message's timestamp, its ID there."""
    return "1789000000.000200"


def message_id(channel: str, timestamp: str) -> str:
    return f"slack:{channel}:{timestamp}"


def is_from_slack(body: bytes, headers) -> bool:
    sent_at = headers.get("x-slack-request-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > 300:
        return False
    signed = b"v0:%s:%s" % (sent_at.encode(), body)
    expected = "v0=" + hmac.new(SIGNING_SECRET, signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), headers.get("x-slack-signature", "").encode())


async def events(request: Request) -> Response:
    body = await request.body()
    if not is_from_slack(body, request.headers):
        return Response(status_code=401)
    event = json.loads(body)["event"]
    if event["type"] == "app_mention":
        with afterword.trail(user=event["user"]) as trail:
            text = answer(event["text"])
        sent = post_message(event["channel"], text)
        client.alias(message_id(event["channel"], sent), trail.last)
    elif event["type"].startswith("reaction_") and event["reaction"] in RATINGS:
        await client.afeedback(
            message_id(event["item"]["channel"], event["item"]["ts"]),
            "rating",
            RATINGS[event["reaction"]],
            user=event["user"],
            unset=event["type"] == "reaction_removed",
        )
    return JSONResponse({"ok": True})


app = Starlette(routes=[Route("/slack/events", events, methods=["POST"])])


def slack_says(browser: TestClient, **event) -> int:
    body = json.dumps({"event": event}).encode()
    sent_at = str(int(time.time()))
    signed = b"v0:%s:%s" % (sent_at.encode(), body)
    signature = "v0=" + hmac.new(SIGNING_SECRET, signed, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": sent_at, "X-Slack-Signature": signature}
    return browser.post("/slack/events", content=body, headers=headers).status_code


if __name__ == "__main__":
    browser = TestClient(app)
    slack_says(browser, type="app_mention", user="U1", channel="C1", text="Why is the sky blue?")
    item = {"channel": "C1", "ts": "1789000000.000200"}
    for kind in ("reaction_added", "reaction_removed", "reaction_added"):
        print(kind, slack_says(browser, type=kind, user="U2", reaction="+1", item=item))
    print("unsigned:", browser.post("/slack/events", json={"event": {}}).status_code)
    generation = client.get("slack:C1:1789000000.000200")
    print(generation.user, "was answered;", [(f.user, f.value) for f in generation.feedback])
