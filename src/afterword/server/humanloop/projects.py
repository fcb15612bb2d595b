"""Projects as Humanloop's API names them: an ID, a name, and two settings (layer 5).

An Afterword project is its name. What Humanloop adds is kept in a document of kind `project`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from afterword.client import Client
from afterword.codec import from_json, to_json
from afterword.configuration import check_project
from afterword.errors import ConfigError, InvalidInput
from afterword.prompts import PromptShelf
from afterword.server.auth import Access
from afterword.server.humanloop.wire import Call, Refused, unfit

__all__ = ["Project", "ProjectBook"]

_KIND, _NAME = "project", "humanloop"


class Project(msgspec.Struct, kw_only=True, frozen=True):
    """A project. `key` is Afterword's name of it, which stays when `name` is changed.

    `accept_new_types`: feedback of an undeclared type declares it. `require_known`: feedback on a
    data ID that is not known is answered 404 instead of waiting.
    """

    key: str
    id: str
    name: str
    created_at: str
    updated_at: str
    directory_id: str | None = None
    accept_new_types: bool = False
    require_known: bool = False
    removed: bool = False


class ProjectBook:
    """The projects of one store. Methods may block."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._store = client.store

    def of(self, call: Call, *, create: bool = False) -> Project:
        """The project that a body means by `project` or `project_id`, else the key's or the client's.

        Raises:
            Refused: 404 unknown, 403 not the key's, 422 not a usable name.
        """
        return self.named(call.access, call.text("project_id"), call.text("project"), create=create)

    def named(
        self, access: Access, project_id: str | None, name: str | None, *, create: bool
    ) -> Project:
        """The project with this ID or name; see `of`."""
        if project_id is not None:
            return self.by_id(access, project_id)
        if name is None:
            return self.by_key(access.project or self._client.project)
        known = self._with_name(name)
        if known is None:
            try:
                check_project(name)
            except ConfigError as error:
                raise unfit("project", str(error)) from None
            known = self.by_key(name)
            if known.removed:
                known = msgspec.structs.replace(known, removed=False)
                create = True
        if access.project is not None and known.key != access.project:
            raise Refused(403, "This key is for another project.")
        if (create and self._store.document(_KIND, known.key, _NAME) is None) or known.removed:
            self.keep(known)
        return known

    def by_id(self, access: Access, project_id: str) -> Project:
        """The project with this ID.

        Raises:
            Refused: 404 unknown, 403 not the key's.
        """
        for project in self.all():
            if project.id == project_id:
                if access.project not in (None, project.key):
                    raise Refused(403, "This key is for another project.")
                return project
        raise Refused(404, f"There is no project {project_id[:100]!r}.")

    def by_key(self, key: str) -> Project:
        """The project of this key, whether or not anything of it is kept yet."""
        body = self._store.document(_KIND, key, _NAME)
        if body is not None:
            return msgspec.convert(from_json(body), Project)
        now = datetime.now(UTC).isoformat()
        return Project(key=key, id=_id(key), name=key, created_at=now, updated_at=now)

    def all(self) -> list[Project]:
        """Every project that has records, prompts or settings, without removed ones."""
        kept = {
            key: msgspec.convert(from_json(body), Project)
            for key, name, body in self._store.documents(_KIND)
            if name == _NAME
        }
        keys = {
            self._client.project, *kept, *self._store.projects(), *PromptShelf(self._store).projects()
        }  # fmt: skip
        found = [kept.get(key) or self.by_key(key) for key in sorted(keys)]
        return [project for project in found if not project.removed]

    def keep(self, project: Project) -> Project:
        """Write a project down as it is now."""
        project = msgspec.structs.replace(project, updated_at=datetime.now(UTC).isoformat())
        self._store.put_document(_KIND, project.key, _NAME, to_json(msgspec.to_builtins(project)))
        return project

    def change(self, project: Project, fields: dict[str, Any]) -> Project:
        """Change what the body of a PATCH may change.

        Raises:
            InvalidInput: a name that another project has, or a field of the wrong kind.
        """
        changes: dict[str, Any] = {}
        for field, kind in (
            ("name", str), ("directory_id", str), ("accept_new_types", bool), ("require_known", bool)
        ):  # fmt: skip
            value = fields.get(field)
            if value is None:
                continue
            if not isinstance(value, kind):
                raise InvalidInput(f"{field} must be {kind.__name__}", field=field)
            changes[field] = value
        if "name" in changes and changes["name"] != project.name:
            other = self._with_name(changes["name"])
            if not 0 < len(changes["name"]) <= 200 or (other and other.key != project.key):
                raise InvalidInput("name must be text that no other project has", field="name")
        return self.keep(msgspec.structs.replace(project, **changes)) if changes else project

    def _with_name(self, name: str) -> Project | None:
        for project in self.all():
            if project.name == name:
                return project
        return None


def _id(key: str) -> str:
    return f"pr_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
