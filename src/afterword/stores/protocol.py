"""What every store can do (layer 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from afterword.feedback.rows import FeedbackRow
from afterword.model import FeedbackType
from afterword.stores.rows import GenerationRow, Stored


class Query(msgspec.Struct, kw_only=True, frozen=True):
    """Which generations a listing wants. None means any; times are microseconds since 1970.

    `feedback` maps feedback types to the JSON of the current value wanted, or to None for any.
    `after` is the (created_at, id, project) of the last row already seen.
    """

    project: str | None = None
    name: str | None = None
    version: str | None = None
    model: str | None = None
    status: str | None = None
    user: str | None = None
    session: str | None = None
    since: int | None = None
    until: int | None = None
    feedback: Mapping[str, str | None] = {}
    sentiment: str | None = None
    signal: str | None = None
    text: str | None = None
    limit: int = 50
    after: tuple[int, str, str] | None = None


class Store(Protocol):
    """Where records live. Every method may block; all may be called from any thread.

    Methods raise StoreBusy or StoreUnavailable when the store is away, StoreTooNew when a newer
    version of Afterword wrote it. `project=None` means: in whichever project.
    """

    #: The URL, without secrets.
    url: str
    #: Whether reads take microseconds, so that they may run on an event loop.
    is_local: bool

    def open(self) -> None:
        """Open it now, to find out whether it can be; otherwise the first use does."""
        ...

    def facts(self) -> dict[str, str]:
        """What `afterword doctor` tells of an open store: versions of the schema and the engine ..."""
        ...

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> Stored:
        """Make all of it durable in one transaction, or none of it.

        Generations merge with what is there. Feedback is returned as it is kept: a retry gives the
        row that was there already. A provisional row gets the project of its generation, as soon as
        that is known; of several with the same ID, the row's own project is preferred.
        """
        ...

    def generation(self, data_id: str, project: str | None = None) -> GenerationRow | None: ...

    def by_ids(self, data_ids: Sequence[str]) -> list[GenerationRow]:
        """What is kept under these IDs, in whichever projects, in no order."""
        ...

    def project_of(self, data_id: str) -> str | None:
        """The project of a generation that is known or waiting, else None."""
        ...

    def generations(self, query: Query) -> list[GenerationRow]:
        """Newest first, at most `query.limit`."""
        ...

    def history(self, data_ids: Sequence[str], project: str | None = None) -> list[FeedbackRow]:
        """Every statement about these generations, oldest first."""
        ...

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        """The data ID an alias stands for, or None."""
        ...

    def put_alias(self, project: str, external_id: str, data_id: str) -> None: ...

    def feedback_types(self, project: str) -> dict[str, FeedbackType]:
        """The types this project declared, by name, without the defaults."""
        ...

    def put_feedback_type(self, project: str, definition: FeedbackType) -> None: ...

    def projects(self) -> list[str]:
        """The names of all projects that have anything, in order."""
        ...

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """A value kept in the store, made once; all processes get the same one."""
        ...

    def document(self, kind: str, project: str, name: str) -> str | None:
        """What features keep beside records (keys, prompts ...): a JSON text by kind and name."""
        ...

    def documents(self, kind: str, project: str | None = None) -> list[tuple[str, str, str]]:
        """(project, name, body) of every document of a kind, in order."""
        ...

    def put_document(
        self, kind: str, project: str, name: str, body: str, *, replace: bool = True
    ) -> str:
        """Keep a document; gives the body kept, an earlier one when it is not to be replaced."""
        ...

    def drop_document(self, kind: str, project: str, name: str) -> bool:
        """Remove a document; whether it was there."""
        ...

    def erase(self, user: str, project: str | None = None) -> int:
        """Remove a user's generations and feedback; how many rows went.

        A tombstone stays, so that records made before this and written later are left out.
        """
        ...

    def drop_before(self, until: int) -> int:
        """Remove generations made before a time, with their feedback and aliases; how many went.

        What was made before it is not written any more from then on, as long as the document that
        `stores.retention` describes is there.
        """
        ...

    def forget_after_fork(self) -> None:
        """In a child process: drop what cannot be shared with the parent, without touching it."""
        ...

    def close(self) -> None: ...


def as_json_definition(definition: FeedbackType) -> str:
    """A feedback type as stores keep it."""
    return msgspec.json.encode(definition).decode()


def from_json_definition(text: Any) -> FeedbackType:
    """The feedback type that `as_json_definition` wrote."""
    return msgspec.json.decode(text, type=FeedbackType)
