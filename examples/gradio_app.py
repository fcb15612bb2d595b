"""A Gradio chat mounted in an ASGI app: its own thumbs rate the generation they stand by."""

import json

import gradio as gr
from fastapi import FastAPI
from starlette.testclient import TestClient

import afterword

client = afterword.configure("sqlite:///gradio_app.db")


@afterword.generation
def answer(question: str) -> str:
    return f"You asked: {question}"  # a stand-in for your model


def reply(
    question: str, history: list, data_ids: dict, request: gr.Request
) -> tuple[str, list, dict]:
    with afterword.trail(user=request.username, session=request.session_hash) as trail:
        text = answer(question)
    said = {"role": "user", "content": question}, {"role": "assistant", "content": text}
    history = [*history, *said]
    return "", history, {**data_ids, str(len(history) - 1): trail.last}


def rate(data_ids: dict, vote: gr.LikeData, request: gr.Request) -> None:
    value = {True: "good", False: "bad"}.get(vote.liked)  # None takes it back
    data_id = data_ids[str(vote.index)]
    client.feedback(data_id, "rating", value, user=request.username, source="end_user")


with gr.Blocks(analytics_enabled=False) as page:  # it phones home otherwise
    data_ids = gr.State({})
    chat = gr.Chatbot()
    question = gr.Textbox()
    question.submit(reply, [question, chat, data_ids], [question, chat, data_ids])
    chat.like(rate, [data_ids], None)

app = gr.mount_gradio_app(FastAPI(), page, path="/chat")


def play(browser: TestClient, function: int, data: list, vote: dict | None = None) -> list:
    """What the page does when its visitor sends a question or presses a thumb."""
    event = {"fn_index": function, "data": data, "event_data": vote, "session_hash": "visitor"}
    browser.post("/chat/gradio_api/queue/join", json=event).raise_for_status()
    told = browser.get("/chat/gradio_api/queue/data", params={"session_hash": "visitor"}).text
    messages = [json.loads(line[5:]) for line in told.splitlines() if line.startswith("data:")]
    (done,) = [found["output"] for found in messages if found["msg"] == "process_completed"]
    return done["data"]


if __name__ == "__main__":
    with TestClient(app) as browser:
        print("page:", browser.get("/chat/").status_code)
        shown = play(browser, 0, ["Why is the sky blue?", [], None])[1]
        print("answer:", shown[1]["content"])
        for liked in (True, None, False):
            play(browser, 1, [None], {"index": 1, "value": "", "liked": liked})
            (generation,) = client.generations().items
            print("thumb:", liked, "feedback:", [found.value for found in generation.feedback])
