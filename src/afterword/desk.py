"""The feedback desk: judges statements, all of a list before any is kept (layer 3)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

from afterword.codec import clean
from afterword.delivery.answers import Answer
from afterword.delivery.arrivals import arriving
from afterword.delivery.asking import Asking
from afterword.delivery.dispatch import PATIENCE_S
from afterword.delivery.halving import AWAY
from afterword.delivery.recorder import Recorder
from afterword.delivery.requests import Kept
from afterword.errors import DeliveryError, FeedbackRejected, InvalidInput
from afterword.feedback.rows import FeedbackRow, to_feedback
from afterword.feedback.statements import Statement, fit, read
from afterword.feedback.types import DEFAULT_TYPES
from afterword.ids import check_data_id, looks_minted, new_id
from afterword.model import Feedback, FeedbackType
from afterword.redaction import Redactor
from afterword.stores.protocol import Store

ANSWER_TIMEOUT_S = 30.0

T = TypeVar("T")

_TYPES_KEPT_S = 2.0
_PLACES_KEPT = 10_000


@contextmanager
def _undelivered() -> Generator[None]:
    """Feedback that cannot be judged for want of a store, and kept nowhere until then, is not recorded."""
    try:
        yield
    except AWAY as error:
        raise DeliveryError(f"the feedback was not recorded: {error}") from error


class Desk:
    """Takes feedback for one client. Safe from any thread."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        redactor: Redactor,
        project: str,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._redactor = redactor
        self._project = project
        self._clock_s = clock_s
        self._now = now
        self._asking = Asking(clock_s=clock_s)
        self._types: dict[str, tuple[float, dict[str, FeedbackType]]] = {}
        self._places: OrderedDict[str, str] = OrderedDict()
        self._projects: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def _asked(self, read: Callable[[], T], otherwise: T) -> T:
        """What the store says; `otherwise` while it is away and feedback can be kept on this disk."""
        is_remote = not self._store.is_local
        if is_remote and (self._asking.is_resting or self._recorder.dispatch.is_silent()):
            return otherwise
        try:
            if not is_remote:
                return read()
            answer = self._asking.ask(read)
            try:
                return answer.result(PATIENCE_S)
            except TimeoutError:
                if not self._recorder.spool.is_on_disk:
                    return answer.result()
                self._asking.given_up()
                return otherwise
        except AWAY:
            if not self._recorder.spool.is_on_disk:
                raise
            return otherwise

    def note_place(self, data_id: str, project: str) -> None:
        """Remember that a generation of this process is in a project other than the client's."""
        self._places[data_id] = project
        if len(self._places) > _PLACES_KEPT:
            self._places.popitem(last=False)

    def noted_place(self, data_id: str, rather: str | None = None) -> str:
        """The project of a generation of this process, else `rather`, without asking the store."""
        return self._places.get(data_id, rather or self._project)

    def place_of(self, data_id: str, rather: str | None = None) -> str | None:
        """The project of a generation, as far as this process or the store knows.

        An ID from outside may be that of several; then it is `rather`, if it is one of them.
        """
        place = self._places.get(data_id)
        place = place or self._asked(lambda: self._store.project_of(data_id), None)
        if rather is not None and place not in (None, rather):
            row = self._asked(lambda: self._store.generation(data_id, rather), None)
            if row is not None and row.status != "waiting":
                return rather
        return place

    def _is_alone(self, project: str) -> bool:
        """Whether the store has no other project. A new one is seen within seconds."""
        kept_s, projects = self._projects
        if self._clock_s() - kept_s > _TYPES_KEPT_S:
            found = self._asked(self._store.projects, None)
            if found is None:
                return False
            projects = frozenset(found)
            self._projects = (self._clock_s(), projects)
        return projects <= {project}

    def types(self, project: str, *, fresh: bool = False) -> dict[str, FeedbackType]:
        """The feedback types of a project by name, the defaults included."""
        kept = self._types.get(project)
        if kept is None or fresh or self._clock_s() - kept[0] > _TYPES_KEPT_S:
            declared = self._asked(lambda: self._store.feedback_types(project), None)
            if declared is None:
                return DEFAULT_TYPES if kept is None else kept[1]
            kept = (self._clock_s(), {**DEFAULT_TYPES, **declared})
            self._types[project] = kept
        return kept[1]

    def data_id(self, given: str) -> str:
        """The data ID itself, or the one an alias stands for.

        What looks like an ID of ours is not looked for among the aliases, which costs a read;
        `alias_of` does it when no generation has that ID.

        Raises:
            InvalidInput: it is neither.
        """
        alias = None if looks_minted(given) else self.alias_of(given)
        return check_data_id(given) if alias is None else alias

    def alias_of(self, given: str) -> str | None:
        """The data ID that `given` stands for, in this client's project or else in another."""
        external_id = clean(given)
        resolve = self._store.resolve
        return self._asked(
            lambda: resolve(external_id, self._project) or resolve(external_id), None
        )

    @_undelivered()
    def rows(
        self,
        entries: Sequence[Any],
        *,
        default_data_id: Callable[[], str],
        listed: bool,
        project: str | None = None,
        subject: str | None = None,
    ) -> list[list[FeedbackRow]]:
        """The rows of each entry; nothing is written.

        Raises:
            FeedbackRejected: an entry does not fit; the message names the field and what may stand.
            NoGenerationInContext: an entry has no data ID and there is none in context.
        """
        statements = [
            read(
                entry,
                default_data_id=default_data_id,
                resolve=self.data_id,
                index=index if listed else None,
            )
            for index, entry in enumerate(entries)
        ]
        now = self._now()
        return [
            self._fitted(statement, now + index, index if listed else None, project, subject)
            for index, statement in enumerate(statements)
        ]

    @_undelivered()
    def rated_rows(
        self,
        entries: list[dict[str, Any]],
        *,
        default_data_id: Callable[[], str],
        listed: bool,
        project: str,
        subject: str,
        bound: bool,
        user: str | None,
        earliest: int,
    ) -> list[list[FeedbackRow]]:
        """The rows of what the holder of a feedback token said; see `Client.rate`."""
        for entry in entries:
            entry["user"], entry["source"] = user, "end_user"
        groups = self.rows(
            entries,
            default_data_id=default_data_id,
            listed=listed,
            project=project,
            subject=subject,
        )
        for row in chain.from_iterable(groups):
            row.created_at = min(max(row.created_at, earliest), row.received_at)
            if bound and user is None:
                row.user = self.user_behind(row)
                row.rater = row.user or subject
        return groups

    def _fitted(
        self,
        statement: Statement,
        now: int,
        index: int | None,
        project: str | None,
        subject: str | None,
    ) -> list[FeedbackRow]:
        if subject is not None and project is not None and self._is_alone(project):
            # A token names generations, not aliases, and the store knows nowhere else.
            place: str | None = self.noted_place(statement.data_id, project)
        else:
            place = self.place_of(statement.data_id, project or self._project)
        if place is None and looks_minted(statement.data_id):
            alias = self.alias_of(statement.data_id)
            if alias is not None:
                statement.data_id = alias
                place = self.place_of(alias, project or self._project)
        home = place or project or self._project

        def rows(types: Mapping[str, FeedbackType]) -> list[FeedbackRow]:
            return fit(
                statement,
                types,
                project=home,
                now=now,
                new_id=new_id,
                redactor=self._redactor,
                subject=subject,
                index=index,
            )

        try:
            fitted = rows(self.types(home))
        except FeedbackRejected:
            # Another process may have declared the type a moment ago.
            types = self.types(home, fresh=True)
            if home not in self._types:
                raise DeliveryError(_UNJUDGED) from None
            fitted = rows(types)
        for row in fitted:
            # The store looks again, in the same transaction, unless this process knows for sure.
            row.provisional = row.data_id not in self._places
        return fitted

    def user_behind(self, row: FeedbackRow) -> str | None:
        """The user behind a row's subject, if they rated its generation while logged in."""
        none: list[FeedbackRow] = []
        for other in self._asked(lambda: self._store.history([row.data_id], row.project), none):
            if other.subject == row.subject and other.user is not None:
                return other.user
        return None

    def submit(self, groups: list[list[FeedbackRow]]) -> Answer[Kept]:
        """Hand the rows of all entries over, to be kept together or not at all."""
        return self._recorder.submit([row for rows in groups for row in rows])


def answers(groups: list[list[FeedbackRow]], kept: Kept) -> list[Feedback]:
    """One Feedback an entry, from the rows as they were kept."""
    out: list[Feedback] = []
    start = 0
    for rows in groups:
        mine = [to_feedback(row) for row in kept[start : start + len(rows)]]
        start += len(rows)
        first = mine[0]
        first.pending = kept.pending
        if len(mine) > 1:
            first.value = [str(feedback.value) for feedback in mine]
        out.append(first)
    return out


def wait(groups: list[list[FeedbackRow]], given: Answer[Kept]) -> list[Feedback]:
    """Block until the rows are durable.

    Raises:
        DeliveryError: the store did not take them.
    """
    try:
        return answers(groups, given.result(ANSWER_TIMEOUT_S))
    except TimeoutError:
        raise DeliveryError(_SILENT) from None


async def await_(groups: list[list[FeedbackRow]], given: Answer[Kept]) -> list[Feedback]:
    """The awaitable twin of `wait`; the event loop is not blocked."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return answers(groups, await arriving(given))
    except TimeoutError:
        raise DeliveryError(_SILENT) from None


_UNJUDGED = "the store is away, so whether the project has such a feedback type is not known; try again later"
_SILENT = (
    f"the store did not answer within {ANSWER_TIMEOUT_S:.0f} s; the feedback may be kept later"
)


_POSITIONAL = ("data_id", "type", "value")


def feedback_entries(
    data_id: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], bool]:
    """The entries of a call of `feedback`, and whether it was the list form."""
    if data_id is not None and not isinstance(data_id, (str, bytes)):
        if not isinstance(data_id, Iterable) or args or kwargs:
            raise InvalidInput(
                "feedback takes the fields of one statement, or one list of mappings",
                field="data_id",
            )
        if isinstance(data_id, Mapping):
            return [data_id], False
        return list(data_id), True
    if len(args) > len(_POSITIONAL) - 1:
        raise TypeError("feedback takes at most data_id, type and value by position")
    entry = dict(zip(_POSITIONAL[1:], args, strict=False))
    twice = entry.keys() & kwargs.keys()
    if twice:
        raise TypeError(f"feedback got {', '.join(sorted(twice))} twice")
    return [{"data_id": data_id, **entry, **kwargs}], False


def entries_about(data_id: str, feedback: Any) -> list[Any]:
    """One entry of feedback or several, each about this generation unless it says otherwise."""
    given = [feedback] if isinstance(feedback, Mapping) else list(feedback)
    return [
        {"data_id": data_id, **entry} if isinstance(entry, Mapping) else entry for entry in given
    ]
