"""Doubles for the recorder's tests: records that misbehave, and a real store with moods."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from afterword.delivery.answers import Answer
from afterword.delivery.drafts import Draft
from afterword.feedback.rows import FeedbackRow
from afterword.ids import new_id
from afterword.redaction import Redactor
from afterword.stores.memory import MemoryStore
from afterword.stores.rows import GenerationRow

WAIT_S = 20.0


class MoodyStore(MemoryStore):
    """A memory store that notes each write, waits at a gate, and may fail first."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[tuple[int, int]] = []
        self.asked = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)
        self.is_open = True
        self.mood: Callable[[Sequence[GenerationRow], Sequence[FeedbackRow]], None] | None = None

    def shut(self) -> None:
        """Let no write through from now on."""
        self.is_open = False

    def let_through(self, writes: int) -> None:
        """Let some writes through, the one that waits included."""
        self.permits.release(writes)

    def unlock(self) -> None:
        """Let all writes through."""
        self.is_open = True
        self.permits.release()

    def await_write(self) -> None:
        assert self.asked.acquire(timeout=WAIT_S), "the recorder did not write"

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> list[FeedbackRow]:
        self.writes.append((len(generations), len(feedback)))
        self.asked.release()
        assert self.is_open or self.permits.acquire(timeout=WAIT_S), "nobody let it through"
        if self.mood is not None:
            self.mood(generations, feedback)
        return super().write(generations, feedback)


class Record:
    """A record that runs something of the test's while it is encoded."""

    def __init__(self, data_id: str, on_encode: Callable[[], object] = lambda: None) -> None:
        self.size_bytes = 400
        self.waiter: Answer[bool] | None = None
        self.data_id = data_id
        self.on_encode = on_encode

    def to_row(self) -> GenerationRow:
        self.on_encode()
        return GenerationRow(id=self.data_id, project="p", created_at=1)

    def shed(self) -> None:
        self.size_bytes = 400


def a_draft(data_id: str | None = None, text: str = "hello") -> Draft:
    """A record as `log` makes it."""
    columns = {"id": data_id or new_id(), "project": "p", "created_at": 1}
    return Draft(columns, {"inputs": text}, Redactor())


def a_statement(data_id: str = "g") -> FeedbackRow:
    """A row of feedback by nobody in particular."""
    return FeedbackRow(
        id=new_id(),
        project="p",
        data_id=data_id,
        type="comment",
        label="",
        several=False,
        value='"fine"',
        sentiment=None,
        signal="free-form",
        user=None,
        subject=None,
        rater="",
        source="code",
        comment=None,
        metadata=None,
        created_at=1,
        received_at=1,
        unset=False,
    )
