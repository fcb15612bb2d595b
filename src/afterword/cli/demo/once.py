"""`afterword demo --once`: the whole loop in one process, without a browser (layer 6)."""

from __future__ import annotations

import asyncio
import shlex

import click
from rich.console import Console

import afterword
from afterword.cli.demo.answers import build_answer
from afterword.cli.demo.chat_model import ChatModel, explain_failure
from afterword.cli.demo.places import DEFAULT_URL, LOGS_URL, record_place

__all__ = ["ask_once"]

_FLUSH_S = 10.0
_USER = "demo-user"
_CORRECTION = "A better answer would begin with the customer: what do they use today, and why would they change?"


def ask_once(
    client: afterword.Client, model: ChatModel, question: str, url: str, console: Console
) -> None:
    """Ask `question`, records a rating and a correction on the answer, and prints what came of it.

    Raises:
        click.ClickException: the model did not answer.
    """
    answer = build_answer(client, model)

    async def listen() -> None:
        async for delta in answer(question):
            console.print(_printable(delta), end="")
        await model.client.close()

    with afterword.trail(user=_USER) as trail:
        try:
            asyncio.run(listen())
        except Exception as error:
            client.flush()
            raise click.ClickException(f"{explain_failure(error)} ({error})") from error
        data_id = trail.last
    console.print("\n")
    if data_id is None:
        raise click.ClickException("the call was not logged; is AFTERWORD_DISABLED set?")
    client.feedback(
        [
            {"data_id": data_id, "type": "rating", "value": "good", "user": _USER},
            {"data_id": data_id, "type": "correction", "value": _CORRECTION, "user": _USER},
        ]
    )
    if not client.flush(_FLUSH_S):
        raise click.ClickException(
            f"the answer could not be stored in {record_place(client)} in time"
        )
    show = "afterword demo" if url == DEFAULT_URL else f"afterword demo --url {shlex.quote(url)}"
    console.print(f"Data ID   {data_id}")
    console.print("Feedback  rating: good, and a correction")
    console.print(f"Database  {record_place(client)}")
    console.print(f"Look at   {LOGS_URL}generations/{data_id} after starting: {show}")


def _printable(text: str) -> str:
    """The text without control characters: what a model says must not steer the terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd"
        for character in text
    )
