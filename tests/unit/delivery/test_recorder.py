"""The recorder: every record is somewhere, feedback is durable, and nothing stops the thread."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
from alarms import alarms
from recorder_doubles import WAIT_S, MoodyStore, Record, a_draft, a_statement

from afterword.delivery.faults import Faults
from afterword.delivery.recorder import Recorder
from afterword.errors import DeliveryError, StoreError, StoreUnavailable
from afterword.model import Status
from afterword.stores.protocol import Query

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def store() -> Iterator[MoodyStore]:
    store = MoodyStore()
    yield store
    store.unlock()
    store.mood = None


@pytest.fixture
def recorder(store: MoodyStore) -> Iterator[Recorder]:
    recorder = Recorder(store, Faults(), interval_s=0.01)
    yield recorder
    store.unlock()
    store.mood = None
    recorder.close()
    store.close()


def adds_up(status: Status) -> bool:
    return status.captured == (
        status.stored + status.buffered + status.spooled + status.dead_lettered + status.dropped
    )


def stored_ids(store: MoodyStore) -> set[str]:
    return {row.id for row in store.generations(Query(limit=100_000))}


def away(*_: object) -> None:
    raise StoreUnavailable("gone for lunch")


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_the_counts_add_up_whenever_they_are_read_and_no_record_is_missing(
    store: MoodyStore,
) -> None:
    recorder = Recorder(store, Faults(), interval_s=0.001, batch_rows=50, buffer_bytes=60_000)
    threads, each = 8, 300
    put = [0] * threads
    begun = [0] * threads
    wrong: list[str] = []
    over = threading.Event()

    def hammer(number: int) -> None:
        for turn in range(each):
            begun[number] += 1
            recorder.put(a_draft(f"g{number}.{turn}", "x" * 500))
            put[number] += 1

    def read() -> None:
        while not over.is_set():
            least = sum(put)
            status = recorder.status()
            most = sum(begun)
            if not adds_up(status) or not least <= status.captured <= most:
                wrong.append(f"{least} {status} {most}")

    def turn_away(*_: object) -> None:
        if len(store.writes) % 3 == 0:
            raise StoreUnavailable("now and then")

    store.mood = turn_away
    writers = [threading.Thread(target=hammer, args=(number,)) for number in range(threads)]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    assert recorder.flush(WAIT_S)
    over.set()
    reader.join()
    status = recorder.status()
    recorder.close()
    assert wrong == []
    assert status.captured == threads * each
    assert status.buffered == 0
    assert len(stored_ids(store)) == status.stored == status.captured - status.dropped
    store.close()


def test_over_its_bytes_the_buffer_gives_up_payloads_first_and_then_rows(
    store: MoodyStore,
) -> None:
    recorder = Recorder(store, Faults(), interval_s=0.001, buffer_bytes=8_000)
    store.shut()
    recorder.put(a_draft("first"))
    store.await_write()
    drafts = [a_draft(f"g{number:02}", "x" * 1_550) for number in range(12)]
    for draft in drafts:
        recorder.put(draft)
    status = recorder.status()
    assert adds_up(status)
    assert status.captured == 13
    # Four of 2,000 bytes fill the buffer; beyond it an eighth more is for stubs of some 500.
    assert [bool(draft.values) for draft in drafts] == [True] * 4 + [False] * 8
    assert status.dropped == 6
    store.unlock()
    assert recorder.flush(WAIT_S)
    rows = {row.id: row.inputs for row in store.generations(Query(limit=100))}
    assert rows.keys() == {"first", "g00", "g01", "g02", "g03", "g04", "g05"}
    assert rows["g03"] is not None
    assert rows["g04"] is None
    recorder.put(a_draft("later", "y" * 5_000))
    assert recorder.flush(WAIT_S)
    later = store.generation("later")
    assert later is not None
    assert later.inputs is not None, "once the buffer is empty it takes payloads again"
    recorder.close()
    store.close()


def test_stubs_that_leave_the_buffer_make_room_for_no_more_than_they_took(
    store: MoodyStore,
) -> None:
    recorder = Recorder(store, Faults(), interval_s=0.001, batch_rows=5, buffer_bytes=80_000)
    store.shut()
    recorder.put(a_draft("first"))
    store.await_write()
    for _ in range(40):
        recorder.put(a_draft(text="x" * 38_000))
    store.let_through(3)
    for _ in range(3):
        store.await_write()
    assert recorder.status().buffered > 5
    late = [a_draft(text="x" * 38_000) for _ in range(20)]
    for draft in late:
        recorder.put(draft)
    kept_bytes = sum(draft.size_bytes for draft in late if draft.values)
    assert 0 < kept_bytes <= 80_000
    store.unlock()
    assert recorder.flush(WAIT_S)
    recorder.close()
    store.close()


def test_flush_says_whether_all_is_durable_within_its_time(
    store: MoodyStore, recorder: Recorder
) -> None:
    assert recorder.flush(0.0), "nothing captured is durable at once"
    store.shut()
    recorder.put(a_draft("g"))
    store.await_write()
    assert not recorder.flush(0.02)
    store.unlock()
    assert recorder.flush(WAIT_S)
    assert stored_ids(store) == {"g"}


def test_flush_waits_for_what_was_captured_before_it_and_not_after(
    store: MoodyStore, recorder: Recorder
) -> None:
    store.shut()
    recorder.put(a_draft("before"))
    store.await_write()
    answers: list[bool] = []
    begun = threading.Event()

    def flush() -> None:
        begun.set()
        answers.append(recorder.flush(WAIT_S))

    thread = threading.Thread(target=flush)
    thread.start()
    begun.wait(WAIT_S)
    store.let_through(1)
    thread.join(WAIT_S)
    assert answers == [True]
    recorder.put(a_draft("after"))
    assert not recorder.flush(0.02)


def test_flush_says_no_when_a_record_was_lost_on_the_way(
    store: MoodyStore, recorder: Recorder
) -> None:
    def refuse(generations: object, feedback: object) -> None:
        raise StoreError("this one I will never take")

    store.mood = refuse
    recorder.put(a_draft("g"))
    assert recorder.flush(WAIT_S) is False
    assert recorder.status().dropped == 1
    assert adds_up(recorder.status())


def test_feedback_that_was_answered_is_in_the_store(store: MoodyStore, recorder: Recorder) -> None:
    for number in range(20):
        row = a_statement(f"g{number}")
        (kept,) = recorder.submit([row]).result(WAIT_S)
        assert kept.id == row.id
        assert [found.id for found in store.history([f"g{number}"])] == [row.id]


def test_feedback_of_many_callers_shares_one_commit(store: MoodyStore, recorder: Recorder) -> None:
    store.shut()
    first = recorder.submit([a_statement("first")])
    store.await_write()
    rows = [[a_statement(f"g{number}"), a_statement(f"h{number}")] for number in range(60)]
    futures = [recorder.submit(pair) for pair in rows]
    store.unlock()
    assert len(first.result(WAIT_S)) == 1
    for pair, future in zip(rows, futures, strict=True):
        assert [row.id for row in future.result(WAIT_S)] == [row.id for row in pair]
    assert store.writes == [(0, 1), (0, 120)]


def test_a_caller_that_gives_up_disturbs_nobody(store: MoodyStore, recorder: Recorder) -> None:
    store.shut()
    first = recorder.submit([a_statement("first")])
    store.await_write()
    answers = [recorder.submit([a_statement(f"g{number}")]) for number in range(3)]
    with pytest.raises(TimeoutError):
        answers[1].result(0.01)
    store.unlock()
    assert first.result(WAIT_S)
    kept = [row.data_id for answer in answers for row in answer.result(WAIT_S)]
    assert kept == ["g0", "g1", "g2"]
    assert recorder.submit([a_statement("later")]).result(WAIT_S)


def test_what_a_store_that_is_away_did_not_take_is_kept_in_order_until_it_is_back(
    store: MoodyStore, recorder: Recorder
) -> None:
    store.mood = away
    for number in range(20):
        recorder.put(a_draft(f"g{number:02}"))
    assert not recorder.flush(0.05)
    status = recorder.status()
    assert (status.captured, status.stored, status.buffered) == (20, 0, 20)
    assert status.faults > 0
    taken: list[str] = []

    def note(generations: object, feedback: object) -> None:
        taken.extend(row.id for row in generations)  # type: ignore[attr-defined]

    store.mood = note
    assert recorder.flush(WAIT_S)
    assert taken == [f"g{number:02}" for number in range(20)]
    assert recorder.status().stored == 20


def test_feedback_for_a_store_that_is_away_is_refused_with_the_reason(
    store: MoodyStore, recorder: Recorder
) -> None:
    store.mood = away
    with pytest.raises(DeliveryError, match="gone for lunch") as caught:
        recorder.submit([a_statement()]).result(WAIT_S)
    assert isinstance(caught.value.__cause__, StoreUnavailable)
    store.mood = None
    assert recorder.submit([a_statement()]).result(WAIT_S)
    assert len(store.history(["g"])) == 1, "what was refused was not kept as well"


def test_a_poisonous_record_is_found_in_few_writes_and_the_others_pass(
    store: MoodyStore,
) -> None:
    recorder = Recorder(store, Faults(), interval_s=0.001)

    def choke(generations: object, feedback: object) -> None:
        if any(row.id == "poison" for row in generations):  # type: ignore[attr-defined]
            raise StoreError("I cannot swallow that")

    store.mood = choke
    store.shut()
    recorder.put(a_draft("first"))
    store.await_write()
    for number in range(400):
        recorder.put(a_draft("poison" if number == 137 else f"g{number}"))
    request = recorder.submit([a_statement("rated")])
    store.unlock()
    assert request.result(WAIT_S)
    recorder.flush(WAIT_S)
    status = recorder.status()
    assert (status.stored, status.dropped) == (400, 1)
    assert adds_up(status)
    # One for each half on the way down to the one: 2 x log2(400), the batch itself, the feedback.
    assert len(store.writes) <= 25
    recorder.close()
    store.close()


def test_a_poisonous_statement_fails_alone(store: MoodyStore, recorder: Recorder) -> None:
    def choke(generations: object, feedback: object) -> None:
        if any(row.data_id == "poison" for row in feedback):  # type: ignore[attr-defined]
            raise StoreError("I cannot swallow that")

    store.mood = choke
    store.shut()
    first = recorder.submit([a_statement("first")])
    store.await_write()
    names = ("a", "poison", "b")
    futures = [recorder.submit([a_statement(name)]) for name in names]
    store.unlock()
    assert first.result(WAIT_S)
    assert futures[0].result(WAIT_S)
    with pytest.raises(DeliveryError, match="cannot swallow"):
        futures[1].result(WAIT_S)
    assert futures[2].result(WAIT_S)
    assert {row.data_id for row in store.history(names)} == {"a", "b"}


@pytest.mark.parametrize("kind", [ValueError, MemoryError, SystemExit, KeyboardInterrupt])
def test_a_record_that_cannot_be_encoded_is_dropped_alone(
    kind: type[BaseException], store: MoodyStore, recorder: Recorder
) -> None:
    def fail() -> None:
        raise kind("no")

    for number in range(5):
        recorder.put(Record(f"g{number}"))
    recorder.put(Record("bad", fail))
    recorder.put(Record("last"))
    recorder.flush(WAIT_S)
    status = recorder.status()
    assert (status.captured, status.stored, status.dropped, status.buffered) == (7, 6, 1, 0)
    assert status.faults == 1
    assert "last" in stored_ids(store)


@pytest.mark.parametrize("kind", [MemoryError, SystemExit, KeyboardInterrupt])
def test_nothing_a_store_raises_ends_the_thread_or_leaves_a_caller_waiting(
    kind: type[BaseException], store: MoodyStore, recorder: Recorder
) -> None:
    failures = [kind("no")]

    def fail_once(*_: object) -> None:
        if failures:
            raise failures.pop()

    store.mood = fail_once
    request = recorder.submit([a_statement("g")])
    try:
        request.result(WAIT_S)
    except DeliveryError:
        pass  # either answer is fine, but there is one
    recorder.put(a_draft("after"))
    assert recorder.flush(WAIT_S)
    assert stored_ids(store) >= {"after"}
    assert adds_up(recorder.status())


def test_a_closed_recorder_still_takes_records(store: MoodyStore) -> None:
    recorder = Recorder(store, Faults())
    recorder.put(a_draft("before"))
    assert recorder.close()
    recorder.put(a_draft("after"))
    assert recorder.flush(WAIT_S)
    assert recorder.submit([a_statement("rated")]).result(WAIT_S)
    assert stored_ids(store) >= {"before", "after"}
    recorder.close()
    store.close()


def test_close_says_so_when_the_store_stayed_away(store: MoodyStore) -> None:
    recorder = Recorder(store, Faults())
    store.mood = away
    recorder.put(a_draft("g"))
    assert not recorder.close(0.05)
    assert recorder.status().buffered == 1
    store.mood = None
    assert recorder.flush(WAIT_S), "it is still there when the store is back"
    recorder.close()
    store.close()


def test_what_runs_on_the_recorders_own_thread_can_neither_block_nor_confuse_it(
    store: MoodyStore, recorder: Recorder
) -> None:
    seen: list[object] = []

    def meddle() -> None:
        recorder.put(Record("from inside"))
        seen.append(recorder.status())
        seen.append(recorder.flush())

    recorder.put(Record("outer", meddle))
    assert recorder.flush(WAIT_S)
    assert recorder.flush(WAIT_S)
    assert stored_ids(store) == {"outer", "from inside"}
    status, flushed = seen
    assert isinstance(status, Status)
    assert adds_up(status)
    assert flushed is False, "it cannot wait for itself"


class Finalised:
    """Garbage in a cycle, whose finaliser records something and reads the counts."""

    def __init__(self, recorder: Recorder, seen: list[Status]) -> None:
        self.me = self
        self.recorder = recorder
        self.seen = seen

    def __del__(self) -> None:
        self.recorder.put(Record(f"finalised {len(self.seen)}"))
        self.seen.append(self.recorder.status())


def test_finalisers_may_record_and_read_the_counts_anywhere(
    store: MoodyStore, recorder: Recorder
) -> None:
    seen: list[Status] = []
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(300):
            Finalised(recorder, seen)
            recorder.put(a_draft(f"g{number}"))
            assert adds_up(recorder.status())
            if number % 50 == 0:
                assert recorder.flush(WAIT_S)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert recorder.flush(WAIT_S)
    assert len(seen) == 300
    assert recorder.status().stored == 600


def test_the_counts_can_be_read_by_what_interrupts_their_reading(recorder: Recorder) -> None:
    with recorder.dispatch.counts.moving():  # where a finaliser may break in
        assert adds_up(recorder.status())
        assert recorder.flush(0.0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_signal_handlers_may_record_and_read_the_counts_anywhere(
    store: MoodyStore, recorder: Recorder
) -> None:
    caught = 0

    def on_alarm(*_: object) -> None:
        nonlocal caught
        recorder.put(Record(f"alarm {caught}"))
        recorder.status()
        caught += 1

    own = 0
    with alarms(on_alarm, 0.001):
        while caught < 100:
            recorder.put(Record(f"own {own}"))
            own += 1
            recorder.status()
            recorder.flush(0.001)
    assert recorder.flush(WAIT_S)
    status = recorder.status()
    assert status.stored == status.captured == caught + own


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_empty_and_delivers_its_own(
    store: MoodyStore, recorder: Recorder
) -> None:
    store.shut()
    recorder.put(a_draft("parents, in hand"))
    store.await_write()
    recorder.put(a_draft("parents, in the buffer"))
    waiting = recorder.submit([a_statement("parents")])
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # on forking with threads
        child = os.fork()
    if child == 0:
        answer = b"raised"
        try:
            store.unlock()
            empty = recorder.status() == Status(faults=recorder.status().faults)
            recorder.put(a_draft("childs"))
            flushed = recorder.flush(WAIT_S)
            rated = recorder.submit([a_statement("childs")]).result(WAIT_S)
            answer = repr((empty, flushed, len(rated), sorted(stored_ids(store)))).encode()
        finally:
            os.write(write_end, answer)
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == repr((True, True, 1, ["childs"])).encode()
    assert os.waitpid(child, 0)[1] == 0
    store.unlock()
    assert waiting.result(WAIT_S)
    assert recorder.flush(WAIT_S)
    assert stored_ids(store) >= {"parents, in hand", "parents, in the buffer"}
