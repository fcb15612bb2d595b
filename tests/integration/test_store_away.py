"""A store that goes away and comes back: calls go on, feedback says so, and nothing is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

import pytest

import afterword
from afterword import Client
from afterword.errors import DeliveryError, StoreBusy, StoreTooNew, StoreUnavailable
from afterword.feedback.rows import FeedbackRow
from afterword.stores.memory import MemoryStore
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

WAIT_S = 20.0
KEPT = 400


class FleetingStore(MemoryStore):
    """A real store that can be sent away: then it takes nothing, and says when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.reason: Exception | None = None
        self.asked = threading.Event()

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> list[FeedbackRow]:
        if self.reason is not None:
            self.asked.set()
            raise self.reason
        return super().write(generations, feedback)


@pytest.fixture
def store() -> FleetingStore:
    return FleetingStore()


@pytest.fixture
def client(store: FleetingStore) -> Iterator[Client]:
    client = Client("memory:", project="main")
    client.store = client.desk._store = client.recorder.dispatch.store = store
    yield client
    store.reason = None
    client.close()


REASONS = [StoreUnavailable("gone fishing"), StoreBusy("locked"), StoreTooNew("too new")]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
def test_calls_go_on_while_the_store_is_away_and_all_of_them_arrive(
    client: Client, store: FleetingStore, reason: Exception
) -> None:
    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    with afterword.trail() as trail:
        answer("before")
        assert client.flush(WAIT_S)
        store.reason = reason
        for number in range(KEPT):
            assert answer(f"q{number}") == f"Q{number}"
            status = client.status()
            assert status.captured == number + 2
            assert status.captured == status.stored + status.buffered
        assert store.asked.wait(WAIT_S)
        assert not client.flush(0.05)
        assert client.status().buffered == KEPT
        assert client.status().faults > 0

        store.reason = None
        assert client.flush(WAIT_S)
        answer("after")
        assert client.flush(WAIT_S)
        data_ids = trail.data_ids
    status = client.status()
    assert (status.captured, status.stored, status.dropped) == (KEPT + 2, KEPT + 2, 0)
    rows = [store.generation(data_id) for data_id in data_ids]
    assert all(row is not None and row.status == "ok" for row in rows)
    assert len(store.generations(Query(limit=1_000))) == KEPT + 2


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
def test_feedback_is_refused_with_the_reason_while_the_store_is_away(
    client: Client, store: FleetingStore, reason: Exception
) -> None:
    data_id = client.log(inputs="q")
    assert client.flush(WAIT_S)
    store.reason = reason
    with pytest.raises(DeliveryError, match=str(reason)) as caught:
        client.feedback(data_id, "rating", "good")
    assert caught.value.__cause__ is reason
    store.reason = None
    assert store.history([data_id]) == []
    assert client.feedback(data_id, "rating", "bad").value == "bad"
    kept = client.get(data_id)
    assert kept is not None
    assert [said.value for said in kept.feedback_history] == ["bad"]


def test_reading_says_so_too(client: Client, store: FleetingStore) -> None:
    def gone(*arguments: object) -> None:
        raise StoreUnavailable("gone fishing")

    store.generation = store.generations = gone  # type: ignore[assignment,method-assign]
    for read in (lambda: client.get("d"), client.generations):
        with pytest.raises(StoreUnavailable, match="gone fishing"):
            read()


def test_it_is_logged_once_and_not_for_every_try(
    client: Client, store: FleetingStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "afterword")
    store.reason = StoreUnavailable("gone fishing")
    for number in range(3):
        store.asked.clear()
        client.log(inputs=number)
        assert not client.flush(0.1)
        assert store.asked.wait(WAIT_S)
    assert client.status().faults >= 2
    assert [entry.getMessage() for entry in caplog.records] == [
        "afterword: reaching the store failed with StoreUnavailable"
    ]
