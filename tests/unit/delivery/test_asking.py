"""Questions to a store that may not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterword import Client
from afterword.delivery import asking
from afterword.delivery.asking import Asking
from afterword.errors import StoreUnavailable
from afterword.stores.memory import MemoryStore

WAIT_S = 20.0


def test_an_answer_comes_when_it_comes() -> None:
    question = Asking()
    assert question.ask(lambda: 7).result(WAIT_S) == 7
    failed = question.ask(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(WAIT_S)
    assert not question.is_resting


def test_a_store_that_left_a_question_unanswered_rests_until_it_answers_that_one() -> None:
    now_s = 100.0
    question = Asking(clock_s=lambda: now_s)
    gate = threading.Event()
    answer = question.ask(lambda: gate.wait(WAIT_S))
    with pytest.raises(TimeoutError):
        answer.result(0.01)
    question.given_up()
    assert question.is_resting
    gate.set()
    assert answer.result(WAIT_S)
    for _ in range(1_000):
        if not question.is_resting:
            break
        threading.Event().wait(0.01)
    assert not question.is_resting


def test_it_does_not_rest_for_ever() -> None:
    now_s = [100.0]
    question = Asking(clock_s=lambda: now_s[0])
    question.given_up()
    now_s[0] += asking.REST_S - 0.1
    assert question.is_resting
    now_s[0] += 0.2
    assert not question.is_resting


def test_where_no_threads_start_any_more_it_asks_from_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert Asking().ask(threading.current_thread).result(0) is threading.current_thread()


class SilentStore(MemoryStore):
    """A remote store that takes what it is given, and answers no question before it is let."""

    is_local = False

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.questions = 0

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        self.questions += 1
        assert self.gate.wait(WAIT_S), "nobody let it answer"
        return super().resolve(external_id, project)


@pytest.fixture
def store() -> Iterator[SilentStore]:
    store = SilentStore()
    yield store
    store.gate.set()


def client_of(store: SilentStore, folder: Path | None) -> Client:
    """A client with a spool in a folder, or with none."""
    spool = None if folder is None else str(folder)
    client = Client("memory:" if folder is None else "http://127.0.0.1:1", "main", spool=spool)
    client.store = client.desk._store = client.recorder.dispatch.store = store
    return client


def test_feedback_waits_a_moment_once_for_a_store_that_answers_no_questions(
    store: SilentStore, tmp_path: Path
) -> None:
    client = client_of(store, tmp_path / "spool")
    for number in range(5):
        assert client.feedback(f"d{number}", "rating", "good").value == "good"
    assert store.questions == 1
    assert len(store.history([f"d{number}" for number in range(5)])) == 5
    store.gate.set()
    client.close()


def test_without_a_spool_the_answer_is_waited_for(store: SilentStore) -> None:
    client = client_of(store, None)
    threading.Timer(1.5, store.gate.set).start()
    assert client.feedback("d", "rating", "good").value == "good"
    assert store.questions == 2
    client.close()


def test_a_failure_to_answer_is_as_good_as_silence(store: SilentStore, tmp_path: Path) -> None:
    def away(external_id: str, project: str | None = None) -> str | None:
        raise StoreUnavailable("gone fishing")

    store.resolve = away  # type: ignore[method-assign]
    client = client_of(store, tmp_path / "spool")
    assert client.feedback("d", "rating", "good").value == "good"
    client.close()
