"""What the processes of the SQLite tests run. Each function is one process's whole work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

import apsw
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import afterword
from afterword import Client
from afterword.asgi import FeedbackMiddleware, feedback_routes
from afterword.stores.sql import migrations
from afterword.stores.sqlite_files import migrate


def write_at_once(url: str, together: Barrier, generations: int, results: Any) -> None:
    """Open the file at the same moment as the others, and write generations and feedback."""
    client = Client(url, project="main")
    together.wait()
    data_ids: list[str] = []
    for number in range(generations):
        data_id = client.log(inputs={"process": os.getpid(), "number": number}, output="x" * 500)
        data_ids.append(data_id)
        if number % 10 == 0:
            client.feedback(data_id, "rating", "good", user=str(os.getpid()))
    durable = client.flush(30)
    results.put((data_ids, durable, client.status()))
    client.close()


def log_in_a_worker(url: str, method: str) -> None:
    """Run a worker that is over in less time than the recorder waits."""
    context = multiprocessing.get_context(method)
    work: Any = (log_one, (Client(url),)) if method == "fork" else (open_and_log_one, (url,))
    worker = context.Process(target=work[0], args=work[1])
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)


def log_one(client: Client) -> None:
    client.log(data_id="worker")


def open_and_log_one(url: str) -> None:
    Client(url).log(data_id="worker")


def acknowledge_feedback(url: str) -> None:
    """Give feedback without end, printing each data ID once its feedback is acknowledged."""
    client = Client(url, project="main")
    while True:
        data_id = client.log(inputs="x" * 3_000)
        client.feedback(data_id, "rating", "good")
        sys.stdout.write(f"{data_id}\n")
        sys.stdout.flush()


def die_while_migrating(path: str, script: str) -> None:
    """Run one more migration than there is, which kills the process half way."""
    connection = apsw.Connection(path)
    connection.create_scalar_function("die", lambda: os.kill(os.getpid(), signal.SIGKILL), 0)
    known = migrations("sqlite") if script == "next" else []
    halfway = "CREATE TABLE half_made (x); SELECT die(); CREATE TABLE never_made (x);"
    migrate(connection, [*known, halfway], path)


def exit_while_locked(url: str) -> None:
    """Capture a few generations that cannot be stored, and say when the program is over."""
    client = Client(url, project="main")
    for number in range(10):
        client.log(inputs=number)
    sys.stdout.write(f"{time.time()!r}\n")
    sys.stdout.flush()


def write_around_a_fork(url: str) -> None:
    """Write before a fork, then in the child and in the parent, all on the same client."""
    client = Client(url, project="main")
    client.log(data_id="before")
    client.feedback("before", "rating", "good", user="before")
    client.log(data_id="unsent")  # still in the parent's buffer when it forks
    child = os.fork()
    who = "child" if child == 0 else "parent"
    for number in range(20):
        client.log(data_id=f"{who}-{number}")
    client.feedback(f"{who}-0", "rating", "good", user=who)
    client.feedback("before", "rating", "bad", user=who)
    assert client.get(f"{who}-19") is not None
    status = client.status()
    expected = 20 if who == "child" else 22
    assert status.captured == status.stored == expected, status
    if child:
        _, code = os.waitpid(child, 0)
        assert code == 0
    client.close()


def open_as_nobody(url: str) -> None:
    """Without root's powers, say what each way in answers about a file that may not be written."""
    client = Client(url, project="main")
    if os.geteuid() == 0:
        os.seteuid(65_534)

    def answer(way: Callable[[], object]) -> None:
        try:
            way()
        except Exception as error:
            sys.stdout.write(f"{type(error).__name__}: {error}\n")
        else:
            sys.stdout.write("no error\n")

    answer(client.store.open)
    answer(lambda: client.get("d"))
    answer(lambda: client.feedback("d", "rating", "good"))


@afterword.generation
def answer(question: str) -> str:
    return question.upper()


def chat(request: Request) -> PlainTextResponse:
    return PlainTextResponse(answer(request.query_params["q"]))


def status(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{os.getpid()} {afterword.status()}")


app = Starlette(
    routes=[
        Route("/chat", chat, methods=["POST"]),
        Route("/status", status),
        Mount("/feedback", routes=feedback_routes()),
    ]
)
app.add_middleware(FeedbackMiddleware)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
