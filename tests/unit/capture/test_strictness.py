"""Strict clients: when a call has returned, its record is in the store, or on this disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from recorder_doubles import MoodyStore

import afterword
from afterword import Client
from afterword.delivery.frames import record_of, scan
from afterword.errors import DeliveryError, StoreUnavailable

WAIT_S = 20.0
CALLS = 100


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "strict.db"


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    client = Client(f"sqlite:///{path}", "p", durability="strict")
    client.store.open()
    yield client
    client.close()


@pytest.fixture
def stored(path: Path) -> Iterator[Callable[[], dict[str, str]]]:
    """The status of every generation by its ID, as another connection sees them."""
    connection = apsw.Connection(str(path))

    def read() -> dict[str, str]:
        return dict(connection.execute("SELECT id, status FROM generations"))  # type: ignore[arg-type]

    yield read
    connection.close()


Stored = Callable[[], dict[str, str]]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else may write to the database."""
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def spooled(path: Path) -> set[str]:
    """The IDs of the generations in the spool's segments."""
    records = [
        record_of(found.body).generation
        for segment in path.with_name(f"{path.name}-spool").glob("*.seg")
        for found in scan(segment.read_bytes()).frames
    ]
    return {record.id for record in records if record is not None}


class Broken(Exception):
    pass


# --- each kind of callable ---------------------------------------------------------------------


def test_a_function_s_record_is_stored_when_it_has_returned(client: Client, stored: Stored) -> None:
    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    for number in range(5):
        assert answer("why?") == "WHY?"
        data_id = afterword.last_data_id()
        assert stored()[str(data_id)] == "ok"
        assert len(stored()) == number + 1


def test_a_logged_call_and_a_method_are_strict_too(client: Client, stored: Stored) -> None:
    class Bot:
        @afterword.generation(client=client)
        def answer(self, question: str) -> str:
            return question.upper()

    logged: Any = Bot().answer.logged("why?")  # type: ignore[attr-defined]
    assert stored() == {logged.data_id: "ok"}


def test_an_exception_s_record_is_stored_when_it_is_raised(client: Client, stored: Stored) -> None:
    @afterword.generation(client=client)
    def answer() -> str:
        raise error

    error = Broken()
    error.__context__ = before = ValueError()
    with pytest.raises(Broken) as caught:
        answer()
    assert caught.value is error
    assert error.__context__ is before
    assert list(stored().values()) == ["error"]


@pytest.mark.anyio
async def test_an_awaited_call_s_record_is_stored_when_it_has_returned(
    client: Client, stored: Stored
) -> None:
    @afterword.generation(client=client)
    async def answer(question: str) -> str:
        await asyncio.sleep(0)
        return question.upper()

    assert await answer("why?") == "WHY?"
    assert list(stored().values()) == ["ok"]
    assert await asyncio.create_task(answer("how?")) == "HOW?"
    assert list(stored().values()) == ["ok", "ok"]


@pytest.mark.anyio
async def test_an_awaited_exception_s_record_is_stored_when_it_is_raised(
    client: Client, stored: Stored
) -> None:
    @afterword.generation(client=client)
    async def answer() -> str:
        await asyncio.sleep(0)
        raise Broken

    with pytest.raises(Broken) as caught:
        await answer()
    assert caught.value.__context__ is None
    assert list(stored().values()) == ["error"]


def test_a_generator_s_record_is_stored_when_it_has_ended(client: Client, stored: Stored) -> None:
    @afterword.generation(client=client)
    def answer(end: Exception | None) -> Iterator[str]:
        yield "a"
        assert stored_before == stored()
        yield "b"
        if end is not None:
            raise end

    stored_before = stored()
    assert list(answer(None)) == ["a", "b"]
    assert list(stored().values()) == ["ok"]
    stored_before = stored()
    with pytest.raises(Broken):
        list(answer(Broken()))
    assert sorted(stored().values()) == ["error", "ok"]


@pytest.mark.anyio
async def test_an_async_generator_s_record_is_stored_when_it_has_ended(
    client: Client, stored: Stored
) -> None:
    @afterword.generation(client=client)
    async def answer(end: Exception | None) -> AsyncIterator[str]:
        yield "a"
        await asyncio.sleep(0)
        yield "b"
        if end is not None:
            raise end

    assert [chunk async for chunk in answer(None)] == ["a", "b"]
    assert list(stored().values()) == ["ok"]
    with pytest.raises(Broken):
        async for _ in answer(Broken()):
            pass
    assert sorted(stored().values()) == ["error", "ok"]


def test_what_is_logged_by_hand_is_stored_when_log_has_returned(
    client: Client, stored: Stored
) -> None:
    assert stored() == {}
    data_id = client.log(output="x")
    assert stored() == {data_id: "ok"}


def test_who_waits_does_not_wait_for_the_next_regular_flush(client: Client, stored: Stored) -> None:
    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    client.recorder._interval_s = 3_600.0
    assert answer("why?") == "WHY?"
    assert len(stored()) == 1
    assert client.status().faults == 0


# --- sharing commits ---------------------------------------------------------------------------


@pytest.fixture
def writes(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many generations each write to the store took."""
    sizes: list[int] = []
    write = client.store.write

    def counted(generations: Any, feedback: Any) -> Any:
        sizes.append(len(generations))
        return write(generations, feedback)

    monkeypatch.setattr(client.store, "write", counted)
    return sizes


@pytest.mark.anyio
async def test_many_awaited_calls_at_once_share_few_commits(
    client: Client, stored: Stored, writes: list[int]
) -> None:
    @afterword.generation(client=client)
    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    results = await asyncio.gather(*(answer(number) for number in range(CALLS)))
    assert results == list(range(CALLS))
    assert len(stored()) == CALLS
    assert sum(writes) == CALLS
    assert len(writes) <= CALLS / 5


def test_calls_of_many_threads_share_commits(
    client: Client, stored: Stored, writes: list[int]
) -> None:
    @afterword.generation(client=client)
    def answer(number: int) -> int:
        return number

    start = threading.Barrier(20)
    missing: list[str | None] = []

    def work() -> None:
        connection = apsw.Connection(client.url.removeprefix("sqlite:///"))
        start.wait(WAIT_S)
        for number in range(5):
            with afterword.trail() as trail:
                answer(number)
            found = connection.execute("SELECT id FROM generations WHERE id = ?", (trail.last,))
            if not found.fetchall():
                missing.append(trail.last)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert missing == []
    assert len(stored()) == CALLS
    assert len(writes) <= CALLS / 2


# --- while the store is away -------------------------------------------------------------------


def test_while_the_store_is_away_the_record_is_in_the_spool_when_the_call_has_returned(
    client: Client, path: Path, stored: Stored
) -> None:
    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    with locked(path):
        for number in range(3):
            assert answer("why?") == "WHY?"
            assert str(afterword.last_data_id()) in spooled(path)
            assert len(spooled(path)) == number + 1
        assert client.log(output="x") in spooled(path)
    assert client.flush(WAIT_S)
    assert len(stored()) == 4


@pytest.mark.anyio
async def test_of_a_server_that_is_away_the_record_is_in_the_spool_too(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:9", "p", durability="strict", spool=str(tmp_path))

    @afterword.generation(client=client)
    async def answer(number: int) -> int:
        return number

    await asyncio.gather(*(answer(number) for number in range(CALLS)))
    found = [
        record
        for segment in tmp_path.rglob("*.seg")
        for record in scan(segment.read_bytes()).frames
    ]
    assert len(found) == CALLS
    client.close()


@pytest.fixture
def homeless() -> Iterator[tuple[Client, MoodyStore]]:
    """A strict client whose store may be away, and which has no spool on disk."""
    client = Client("memory:", "p", durability="strict")
    store = MoodyStore()
    client.store = client.desk._store = client.recorder.dispatch.store = store
    yield client, store
    store.mood = None
    store.unlock()
    client.close()


def away(*_: object) -> None:
    raise StoreUnavailable("gone fishing")


def test_when_neither_takes_it_the_call_returns_and_a_fault_is_counted(
    homeless: tuple[Client, MoodyStore],
) -> None:
    client, store = homeless

    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    store.mood = away
    assert answer("why?") == "WHY?"
    assert "making a generation durable" in client.faults._logged_at_s
    faults = client.status().faults
    with pytest.raises(DeliveryError):
        client.log(output="x")
    assert client.status().faults >= faults
    store.mood = None
    assert client.flush(WAIT_S)
    assert client.status().stored == 2


@pytest.mark.anyio
async def test_when_neither_takes_it_an_awaited_call_returns_as_well(
    homeless: tuple[Client, MoodyStore],
) -> None:
    client, store = homeless

    @afterword.generation(client=client)
    async def answer(question: str) -> str:
        return question.upper()

    store.mood = away
    assert await answer("why?") == "WHY?"
    assert "making a generation durable" in client.faults._logged_at_s


def test_a_spool_that_may_not_be_used_is_no_place_to_be_safe(client: Client, path: Path) -> None:
    folder = path.with_name(f"{path.name}-spool")
    folder.mkdir()
    folder.chmod(0o777)

    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    with locked(path):
        assert answer("why?") == "WHY?"
        assert "making a generation durable" in client.faults._logged_at_s
        with pytest.raises(DeliveryError):
            client.log(output="x")
    assert list(folder.iterdir()) == []


# --- while it waits ----------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["awaited", "task"])
async def test_who_is_cancelled_while_waiting_is_cancelled_and_the_record_is_kept(
    homeless: tuple[Client, MoodyStore], kind: str
) -> None:
    client, store = homeless

    @afterword.generation(client=client)
    async def answer() -> str:
        return "so"

    async def outer() -> str:
        return await answer()

    store.shut()
    task = asyncio.create_task(answer() if kind == "task" else outer())
    await asyncio.to_thread(store.await_write)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    store.unlock()
    assert await client.aflush(WAIT_S)
    (found,) = client.generations().items
    assert (found.status, found.output) == ("ok", "so")
    assert client.status().faults == 0


@pytest.mark.anyio
async def test_a_timeout_that_comes_while_waiting_is_a_timeout(
    homeless: tuple[Client, MoodyStore],
) -> None:
    client, store = homeless

    @afterword.generation(client=client)
    async def answer() -> str:
        return "so"

    store.shut()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await answer()
    store.unlock()
    assert await client.aflush(WAIT_S)


@pytest.mark.anyio
async def test_the_event_loop_runs_on_while_calls_wait(
    homeless: tuple[Client, MoodyStore],
) -> None:
    client, store = homeless

    @afterword.generation(client=client)
    async def answer() -> str:
        return "so"

    store.shut()
    task = asyncio.create_task(answer())
    turns = 0
    while not store.asked.acquire(blocking=False):
        await asyncio.sleep(0.001)
        turns += 1
        assert turns < 20_000
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    store.unlock()
    assert await asyncio.wait_for(task, WAIT_S) == "so"


def test_under_trio_the_record_is_stored_when_the_call_has_returned(
    client: Client, stored: Stored
) -> None:
    @afterword.generation(client=client)
    async def answer(question: str) -> str:
        await anyio.sleep(0)
        return question.upper()

    @afterword.generation(client=client)
    async def stream() -> AsyncIterator[str]:
        yield "a"
        await anyio.sleep(0)
        yield "b"

    @afterword.generation(client=client)
    async def broken() -> str:
        await anyio.sleep(0)
        raise Broken

    async def main() -> None:
        assert await answer("why?") == "WHY?"
        assert list(stored().values()) == ["ok"]
        assert [chunk async for chunk in stream()] == ["a", "b"]
        assert len(stored()) == 2
        with pytest.raises(Broken):
            await broken()
        assert len(stored()) == 3

    anyio.run(main, backend="trio")
    assert client.status().faults == 0


@pytest.mark.parametrize("durability", ["normal", "strict"])
def test_steps_of_an_async_stream_can_be_sent_and_thrown_into_by_hand(durability: str) -> None:
    client = Client("memory:", durability=durability)

    @afterword.generation(client=client)
    async def chunks() -> AsyncIterator[int]:
        yield 1
        yield 2

    stream = chunks()
    for step, value in ((stream.__anext__(), 1), (stream.__anext__(), 2)):
        with pytest.raises(StopIteration) as stop:
            step.send(None)  # type: ignore[attr-defined]
        assert stop.value.value == value
    with pytest.raises(KeyError):
        stream.__anext__().throw(KeyError("x"))  # type: ignore[attr-defined]
    closing = stream.aclose()  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        closing.send(None)
    client.close()
