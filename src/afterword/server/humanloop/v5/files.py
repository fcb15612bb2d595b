"""Files of v5: a kind and a path, which is a project here, and versions by their content (layer 5)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from afterword.client import Client
from afterword.codec import clean, from_json, to_json
from afterword.configuration import project_named
from afterword.server.humanloop.wire import Call, Refused, unfit

__all__ = ["KINDS", "File", "file_of", "file_shape", "known_file"]

#: The kinds of files, and how their IDs begin.
KINDS = {"prompt": "pr", "flow": "fl", "tool": "tl", "evaluator": "ev"}

_FILE, _VERSION = "v5_file", "v5_version"
_DIGEST_CHARS = 24


class File(msgspec.Struct, kw_only=True):
    """One version of a file."""

    kind: str
    path: str
    content: dict[str, Any] = {}

    @property
    def id(self) -> str:
        return f"{KINDS[self.kind]}_{_digest([self.kind, self.path])}"

    @property
    def version_id(self) -> str:
        return f"{KINDS[self.kind]}v_{_digest([self.path, self.content])}"

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def project(self) -> str:
        return project_named(self.path) or self.id


def file_of(call: Call, kind: str) -> File:
    """The file that a body names by `path` or `id`, at the version whose content it brings.

    Raises:
        Refused: 404 an ID is unknown, 422 neither is there, 403 another project than the key's.
    """
    given = call.fields.get(kind)
    if kind == "evaluator":
        given = call.fields.get("spec")
    if given is not None and not isinstance(given, dict):
        raise unfit(kind, "must be an object")
    path, file_id = call.text("path"), call.text("id")
    if path is None and file_id is None:
        raise unfit("path", "field required, or id", kind="value_error.missing")
    if path is None:
        found = known_file(call.client, cast("str", file_id))
        if found is None:
            raise Refused(404, f"There is no {kind} {str(file_id)[:100]!r}.")
        path = found.path
    file = File(kind=kind, path=clean(path).strip("/"), content=cast("dict[str, Any]", given or {}))
    if not 0 < len(file.path) <= 500:
        raise unfit("path", "must be 1 to 500 characters")
    if call.access.project not in (None, file.project):
        raise Refused(403, "This key is for another project.")
    store = call.client.store
    body = to_json({"kind": kind, "path": file.path})
    store.put_document(_FILE, "", file.id, body, replace=False)
    if given is not None:
        store.put_document(_VERSION, file.id, file.version_id, to_json(file.content))
    return file


def known_file(client: Client, file_id: str) -> File | None:
    """The file with this ID, without its content; None when it is unknown."""
    body = client.store.document(_FILE, "", clean(file_id))
    return None if body is None else File(**from_json(body))


def file_shape(file: File) -> dict[str, Any]:
    """A file as v5 writes it."""
    now = datetime.now(UTC).isoformat()
    shape: dict[str, Any] = {
        **file.content,
        "id": file.id,
        "path": file.path,
        "name": file.name,
        "version_id": file.version_id,
        "type": file.kind,
        "created_at": now,
        "updated_at": now,
        "last_used_at": now,
        "version_logs_count": 0,
        "total_logs_count": 0,
        "inputs": [],
    }
    if file.kind == "prompt":
        shape.setdefault("model", "")
    if file.kind == "flow":
        shape.setdefault("attributes", {})
    if file.kind == "evaluator":
        shape["spec"] = file.content
    return shape


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]
