"""A store that takes what it is given and does not answer: nobody waits for it longer than is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from afterword import Client
from afterword.delivery.dispatch import PATIENCE_S, Dispatch
from afterword.delivery.faults import Faults
from afterword.delivery.files import RealFiles
from afterword.delivery.frames import Spooled
from afterword.delivery.sender import Sender
from afterword.delivery.spool import Spool
from afterword.feedback.rows import FeedbackRow
from afterword.stores.memory import MemoryStore
from afterword.stores.rows import GenerationRow

WAIT_S = 20.0


class HangingStore(MemoryStore):
    """A remote store whose writes hang until they are let."""

    is_local = False

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.gate = threading.Event()

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> list[FeedbackRow]:
        self.asked.set()
        assert self.gate.wait(WAIT_S), "nobody let it answer"
        return super().write(generations, feedback)


@pytest.fixture
def store() -> Iterator[HangingStore]:
    store = HangingStore()
    yield store
    store.gate.set()


@pytest.fixture
def client(store: HangingStore, tmp_path: Path) -> Iterator[Client]:
    client = Client("http://127.0.0.1:1", "main", spool=str(tmp_path / "spool"))
    client.store = client.desk._store = client.recorder.dispatch.store = store
    client.log(data_id="first")
    assert store.asked.wait(WAIT_S)
    yield client
    store.gate.set()
    client.close()


def await_hanging(client: Client) -> None:
    for _ in range(1_000):
        if client.recorder.dispatch.is_hanging():
            return
        time.sleep(0.005)
    pytest.fail("the store does not hang")


def test_feedback_is_kept_at_once_when_the_store_is_known_to_hang(
    client: Client, store: HangingStore
) -> None:
    await_hanging(client)
    started_s = time.monotonic()
    assert client.feedback("first", "rating", "good").pending
    assert time.monotonic() - started_s < PATIENCE_S / 2
    assert client.status().spooled == 2
    store.gate.set()
    for _ in range(1_000):
        if client.status().stored == 2:
            break
        client.flush(0.1)
    assert [row.value for row in store.history(["first"])] == ['"good"']


def test_the_exit_waits_a_moment_for_a_store_that_hangs_and_no_longer(
    client: Client, store: HangingStore
) -> None:
    started_s = time.monotonic()
    client.recorder.at_exit(10.0)
    assert time.monotonic() - started_s < PATIENCE_S + 1.0
    assert client.recorder.dispatch.is_hanging()
    started_s = time.monotonic()
    client.recorder.at_exit(10.0)
    assert time.monotonic() - started_s < PATIENCE_S / 2


def test_many_questions_answered_in_time_are_no_hanging(tmp_path: Path) -> None:
    now_s = 100.0
    hung: list[bool] = []

    class Slow(MemoryStore):
        is_local = False

        def resolve(self, external_id: str, project: str | None = None) -> str | None:
            nonlocal now_s
            now_s += PATIENCE_S / 3
            hung.append(dispatch.is_hanging())
            return None

        def write(
            self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
        ) -> list[FeedbackRow]:
            hung.append(dispatch.is_hanging())
            return super().write(generations, feedback)

    client = Client("http://127.0.0.1:1", "main", spool=str(tmp_path / "spool"))
    rows = [
        client.desk.rows(
            [{"data_id": f"d{number}", "type": "rating", "value": "good"}],
            default_data_id=str,
            listed=False,
        )[0]
        for number in range(9)
    ]
    client.close()
    spool = Spool(RealFiles(str(tmp_path / "own")), prepare=(tmp_path / "own").mkdir)
    spool.append([Spooled(feedback=row) for row in rows], sync=True)
    dispatch = Dispatch(Slow(), spool, Faults(), clock_s=lambda: now_s)
    Sender(dispatch).step()
    assert spool.is_empty
    assert hung == [False] * 19


def test_the_exit_waits_for_a_store_that_answers(client: Client, store: HangingStore) -> None:
    threading.Timer(0.3, store.gate.set).start()
    client.recorder.at_exit(10.0)
    assert client.status().stored == 1
    assert client.recorder.spool.is_empty
