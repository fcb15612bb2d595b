"""Prompts: versions of a project's prompt, which one is deployed, and their rendering (layer 3).

A version is a model, a template and parameters. Its ID is a digest of these, so the same content
is the same version, in whichever project and however often it is registered. A template is text,
or a list of chat messages, with variables written ``{{name}}``.

Versions and deployments are documents of the store, of the kinds `prompt_version` (by ID) and
`deployment` (by environment).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

import msgspec

from afterword.codec import clean, from_json, to_json
from afterword.errors import InvalidInput
from afterword.stores.protocol import Store

__all__ = [
    "PRODUCTION",
    "PromptShelf",
    "PromptVersion",
    "Template",
    "content_lines",
    "difference",
    "make_version",
    "template_of",
]

Template: TypeAlias = str | list[dict[str, Any]] | None

#: The environment that is meant when none is named.
PRODUCTION = "production"

#: What may be among the parameters of a version; they go to the provider as they are.
PARAMETERS = (
    "max_tokens", "temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "seed",
    "response_format", "other",
)  # fmt: skip

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}\Z")
_VERSION, _DEPLOYMENT = "prompt_version", "deployment"
_DIGEST_CHARS = 24


class PromptVersion(msgspec.Struct, kw_only=True, frozen=True):
    """One version of a prompt. `template` is text, a list of chat messages, or None.

    `endpoint` is ``chat`` or ``complete`` where the provider offers both, None to let the server
    choose. `name`, `description` and `created_at` are no part of the content that `id` digests.
    """

    id: str
    model: str
    provider: str = "openai"
    endpoint: str | None = None
    template: Template = None
    parameters: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []
    name: str | None = None
    description: str | None = None
    created_at: datetime

    @property
    def variables(self) -> list[str]:
        """The names of the template's variables, in the order they first occur."""
        return list(dict.fromkeys(_VARIABLE.findall("\n".join(_texts(self.template)))))

    def render(self, inputs: Mapping[str, Any] | None = None) -> Any:
        """The template with its variables filled: text, or a new list of messages.

        Text goes in as it is, anything else as JSON. What an input brings is not looked through
        for variables again, and inputs the template does not name are left aside.

        Raises:
            InvalidInput: a variable has no input; the message names all that are missing.
        """
        given: Mapping[str, Any] = inputs or {}
        missing = [name for name in self.variables if name not in given]
        if missing:
            raise InvalidInput(
                f"the template needs inputs that were not given: {', '.join(missing)}",
                field="inputs",
            )

        def fill(text: str) -> str:
            return _VARIABLE.sub(lambda found: _shown(given[found[1]]), text)

        if self.template is None or isinstance(self.template, str):
            return fill(self.template or "")
        return [_filled(message, fill) for message in self.template]


def make_version(
    *,
    model: object,
    provider: object = None,
    endpoint: object = None,
    template: Any = None,
    parameters: Mapping[str, Any] | None = None,
    tools: Iterable[Mapping[str, Any]] | None = None,
    name: object = None,
    description: object = None,
    now: datetime | None = None,
) -> PromptVersion:
    """A checked version, with the ID that its content gives it.

    Raises:
        InvalidInput: a field is not usable; the message names it.
    """
    for field, text in (("model", model), ("provider", provider), ("endpoint", endpoint)):
        if text is not None and (not isinstance(text, str) or not text or len(text) > 200):
            raise InvalidInput(f"{field} must be text of 1 to 200 characters", field=field)
    if not isinstance(model, str):
        raise InvalidInput("model must name a model", field="model")
    for field, text in (("name", name), ("description", description)):
        if text is not None and not isinstance(text, str):
            raise InvalidInput(f"{field} must be text", field=field)
    kept = {key: value for key, value in (parameters or {}).items() if value is not None}
    for key in kept:
        if key not in PARAMETERS:
            raise InvalidInput(
                f"unknown parameter {key!r:.100}; known: {', '.join(PARAMETERS)}",
                field="parameters",
                allowed=PARAMETERS,
            )
    offered = [dict(tool) for tool in tools or ()]
    content = {
        "model": model,
        "provider": provider or "openai",
        "endpoint": endpoint,
        "template": _checked(template),
        "parameters": kept,
        "tools": offered,
    }
    return PromptVersion(
        id=_digest(content),
        name=cast("str | None", name),
        description=cast("str | None", description),
        created_at=now or datetime.now(UTC),
        **cast("dict[str, Any]", content),
    )


def template_of(text: str) -> Any:
    """The template that people write as text: a JSON list is one of chat messages."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            return text
        if isinstance(found, list):
            return found
    return text


def difference(old: PromptVersion, new: PromptVersion) -> list[str]:
    """The lines of a unified diff between the contents of two versions; none when they are equal."""
    return list(
        difflib.unified_diff(
            content_lines(old), content_lines(new), old.id, new.id, n=3, lineterm=""
        )
    )


class PromptShelf:
    """The versions of all projects in one store, and which are deployed. Methods may block.

    Raises, besides what is said of a method:
        StoreError: the store cannot be read or written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(
        self, project: str, version: PromptVersion, *, deploy_first: bool = False
    ) -> PromptVersion:
        """Keep a version; gives the one kept, which is an earlier one of the same content.

        With `deploy_first`, the first version of a project is deployed to production.
        """
        is_first = deploy_first and not self._store.documents(_VERSION, project)
        body = to_json(msgspec.to_builtins(version))
        kept = _version(
            self._store.put_document(_VERSION, project, version.id, body, replace=False)
        )
        if is_first:
            self.deploy(project, kept.id)
        return kept

    def version(self, project: str, version_id: str) -> PromptVersion | None:
        """The version with this ID, or None."""
        body = self._store.document(_VERSION, project, clean(version_id))
        return None if body is None else _version(body)

    def versions(self, project: str) -> list[PromptVersion]:
        """All versions of a project, the newest first."""
        found = [_version(body) for _, _, body in self._store.documents(_VERSION, project)]
        return sorted(found, key=lambda version: (version.created_at, version.id), reverse=True)

    def home_of(self, version_id: str) -> str | None:
        """A project that has this version, or None."""
        for project, name, _ in self._store.documents(_VERSION):
            if name == version_id:
                return project
        return None

    def projects(self) -> list[str]:
        """The projects that have versions, in order."""
        return sorted({project for project, _, _ in self._store.documents(_VERSION)})

    def deploy(self, project: str, version_id: str, environment: str = PRODUCTION) -> None:
        """Make a version the one that calls of this environment use.

        Raises:
            InvalidInput: the project has no such version, or the environment's name is unusable.
        """
        if self.version(project, version_id) is None:
            raise InvalidInput(
                f"project {project!r} has no version {version_id!r:.100}", field="version"
            )
        deployment = {"version": version_id, "deployed_at": datetime.now(UTC).isoformat()}
        self._store.put_document(
            _DEPLOYMENT, project, check_environment(environment), to_json(deployment)
        )

    def withdraw(self, project: str, environment: str = PRODUCTION) -> bool:
        """Leave an environment without a version; whether it had one."""
        return self._store.drop_document(_DEPLOYMENT, project, check_environment(environment))

    def deployed(self, project: str, environment: str = PRODUCTION) -> PromptVersion | None:
        """The version that is deployed in an environment, or None."""
        body = self._store.document(_DEPLOYMENT, project, check_environment(environment))
        return None if body is None else self.version(project, from_json(body)["version"])

    def deployments(self, project: str) -> dict[str, str]:
        """The ID of the deployed version by environment."""
        return {
            environment: from_json(body)["version"]
            for _, environment, body in self._store.documents(_DEPLOYMENT, project)
        }


def check_environment(environment: object) -> str:
    """`environment` itself when it may name one.

    Raises:
        InvalidInput: it may not.
    """
    if isinstance(environment, str) and _ENVIRONMENT.match(environment):
        return environment
    raise InvalidInput(
        "environment must be 1 to 64 characters of letters, digits, space . _ -",
        field="environment",
    )


def _version(body: str) -> PromptVersion:
    return msgspec.convert(from_json(body), PromptVersion)


def _digest(content: Mapping[str, Any]) -> str:
    # Sorted, so that the order in which a caller wrote the keys makes no other version.
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return f"config_{hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]}"


def _checked(template: Any) -> Template:
    if template is None or isinstance(template, str):
        return template
    if not isinstance(template, list) or not all(
        isinstance(message, Mapping) and isinstance(message.get("role"), str)
        for message in template
    ):
        raise InvalidInput(
            "a template is text, or a list of messages that each have a role", field="template"
        )
    messages = cast("list[Mapping[str, Any]]", template)
    return [
        {key: value for key, value in message.items() if value is not None} for message in messages
    ]


def _texts(template: Template) -> Iterable[str]:
    if isinstance(template, str):
        yield template
    for message in () if template is None or isinstance(template, str) else template:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def _filled(message: dict[str, Any], fill: Any) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": fill(content)}
    if isinstance(content, list):
        parts = [
            {**part, "text": fill(part["text"])}
            if isinstance(part, dict) and isinstance(part.get("text"), str)
            else part
            for part in content
        ]
        return {**message, "content": parts}
    return dict(message)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def content_lines(version: PromptVersion) -> list[str]:
    """The content of a version as lines for people: settings, then the template."""
    head = [f"model: {version.model}", f"provider: {version.provider}"]
    if version.endpoint:
        head.append(f"endpoint: {version.endpoint}")
    for key, value in sorted(version.parameters.items()):
        head.append(f"{key}: {json.dumps(value, sort_keys=True, ensure_ascii=False)}")
    for tool in version.tools:
        head += json.dumps({"tool": tool}, indent=2, sort_keys=True, ensure_ascii=False).split("\n")
    if isinstance(version.template, str):
        return [*head, "", *version.template.split("\n")]
    for message in version.template or ():
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        head += ["", f"[{message['role']}]", *text.split("\n")]
    return head
