"""One project of a store, as if there were no other (layer 5).

What a key for one project may reach is decided here and nowhere else: whoever is handed this view
cannot name another project's records, by whatever ID.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException

from afterword.feedback.rows import FeedbackRow
from afterword.model import FeedbackType
from afterword.stores.protocol import Query, Store
from afterword.stores.rows import GenerationRow, Stored

__all__ = ["ProjectView", "Seen"]

_IDS_KEPT = 50_000


class Seen:
    """Generations known to be there, the latest ones: most feedback is about these. For any thread.

    An ID never moves to another project, so what was seen once holds; one that was removed since is
    as one that has not come yet.
    """

    def __init__(self) -> None:
        self._keys: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, project: str, data_ids: Iterable[str]) -> None:
        keys = self._keys
        for data_id in data_ids:
            keys[project, data_id] = None
        while len(keys) > _IDS_KEPT:
            keys.popitem(last=False)

    def has(self, project: str, data_id: str) -> bool:
        return (project, data_id) in self._keys


class ProjectView:
    """A `Store` that knows one project only. A project that a caller names must be that one."""

    def __init__(self, store: Store, project: str, seen: Seen | None = None) -> None:
        self._store = store
        self.project = project
        self.url = store.url
        self.is_local = store.is_local
        self._seen = Seen() if seen is None else seen

    def open(self) -> None:
        self._store.open()

    def facts(self) -> dict[str, str]:
        return self._store.facts()

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> Stored:
        for row in generations:
            self._own(row.project)
        for said in feedback:
            self._own(said.project)
            said.provisional = False
        return self._store.write(generations, feedback)

    def generation(self, data_id: str, project: str | None = None) -> GenerationRow | None:
        return self._store.generation(data_id, self._own(project))

    def by_ids(self, data_ids: Sequence[str]) -> list[GenerationRow]:
        return [row for row in self._store.by_ids(data_ids) if row.project == self.project]

    def project_of(self, data_id: str) -> str | None:
        if self._seen.has(self.project, data_id):
            return self.project
        place = self._store.project_of(data_id)
        if place is not None and place != self.project:
            # An ID from outside may stand in several projects, this one among them.
            place = self.project if self._store.generation(data_id, self.project) else None
        if place is not None:
            self._seen.note(self.project, (data_id,))
        return place

    def generations(self, query: Query) -> list[GenerationRow]:
        own = msgspec.structs.replace(query, project=self._own(query.project))
        return self._store.generations(own)

    def history(self, data_ids: Sequence[str], project: str | None = None) -> list[FeedbackRow]:
        return self._store.history(data_ids, self._own(project))

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        return self._store.resolve(external_id, self._own(project))

    def put_alias(self, project: str, external_id: str, data_id: str) -> None:
        self._store.put_alias(self._own(project), external_id, data_id)

    def feedback_types(self, project: str) -> dict[str, FeedbackType]:
        return self._store.feedback_types(self._own(project))

    def put_feedback_type(self, project: str, definition: FeedbackType) -> None:
        self._store.put_feedback_type(self._own(project), definition)

    def projects(self) -> list[str]:
        return [self.project]

    def setting(self, name: str, make: Callable[[], str]) -> str:
        raise _forbidden("Settings are for keys of all projects.")

    def document(self, kind: str, project: str, name: str) -> str | None:
        return self._store.document(kind, self._own(project), name)

    def documents(self, kind: str, project: str | None = None) -> list[tuple[str, str, str]]:
        return self._store.documents(kind, self._own(project))

    def put_document(
        self, kind: str, project: str, name: str, body: str, *, replace: bool = True
    ) -> str:
        return self._store.put_document(kind, self._own(project), name, body, replace=replace)

    def drop_document(self, kind: str, project: str, name: str) -> bool:
        return self._store.drop_document(kind, self._own(project), name)

    def erase(self, user: str, project: str | None = None) -> int:
        return self._store.erase(user, self._own(project))

    def drop_before(self, until: int) -> int:
        raise _forbidden("Retention is for all projects.")

    def forget_after_fork(self) -> None:
        self._store.forget_after_fork()

    def close(self) -> None:
        """Nothing: the store is not this view's to close."""

    def _own(self, project: str | None) -> str:
        if project is not None and project != self.project:
            raise _forbidden(f"This key is for project {self.project} only.")
        return self.project


def _forbidden(detail: str) -> HTTPException:
    return HTTPException(HTTPStatus.FORBIDDEN, detail)
