"""From the body of a generation request to what a provider is asked (layer 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from afterword.prompts import PARAMETERS, PRODUCTION, PromptShelf, PromptVersion, make_version
from afterword.server.humanloop.projects import Project, ProjectBook
from afterword.server.humanloop.providers import Ask
from afterword.server.humanloop.recording import lineage
from afterword.server.humanloop.wire import Call, Refused, unfit

__all__ = ["Asked", "read", "version_of"]

_MAX_SAMPLES = 20
#: Models that only complete text. Any other is asked by chat unless its config says otherwise.
_COMPLETES = re.compile(r"(gpt-3\.5-turbo-instruct|text-|code-|davinci|babbage|curie|ada)")


@dataclass(slots=True)
class Asked:
    """A generation request, read, checked and rendered."""

    project: Project
    version: PromptVersion
    ask: Ask
    is_chat: bool
    inputs: dict[str, Any]
    is_stream: bool
    save: bool
    returns_inputs: bool
    user: str | None
    metadata: dict[str, Any] | None
    lineage: dict[str, Any]
    extras: dict[str, Any] = field(default_factory=dict[str, Any])


def read(call: Call, *, is_chat: bool, source: str) -> Asked:
    """Everything about a request to ``/completion...`` or ``/chat...``. May block.

    `source` says where the config is: ``deployed``, ``config_id`` or ``body``.

    Raises:
        Refused: with what the caller has to change.
        InvalidInput: likewise.
    """
    fields = call.fields
    version_given: PromptVersion | None = None
    if source == "body":
        # Before the project, so that a bad config makes none.
        version_given = version_of(_mapping(call, "model_config", required=True))
    inputs = _mapping(call, "inputs")
    messages = _messages(call) if is_chat else None
    metadata = _mapping(call, "metadata") or None
    samples = fields.get("num_samples", 1)
    if samples is None:
        samples = 1
    if type(samples) is not int or not 1 <= samples <= _MAX_SAMPLES:
        raise unfit("num_samples", f"must be a whole number from 1 to {_MAX_SAMPLES}")
    flags = {
        name: _flag(call, name, default)
        for name, default in (("stream", False), ("save", True), ("return_inputs", True))
    }
    user = call.text("user")
    project = ProjectBook(call.client).of(call, create=True)
    environment = call.text("environment") if source == "deployed" else None
    version = _version(call, project, version_given, source, environment)
    ask = _ask(call, version, inputs, messages, samples, user)
    return Asked(
        project=project,
        version=version,
        ask=ask,
        is_chat=is_chat,
        inputs=inputs,
        is_stream=flags["stream"],
        save=flags["save"],
        returns_inputs=flags["return_inputs"],
        user=user,
        metadata=metadata,
        lineage=lineage(call, project.key),
        extras={
            "source": call.text("source"),
            "environment": (environment or PRODUCTION) if source == "deployed" else None,
            "source_datapoint_id": call.text("source_datapoint_id"),
        },
    )


def version_of(config: Mapping[str, Any]) -> PromptVersion:
    """The version that a `model_config` of the wire describes.

    Raises:
        InvalidInput: a field is not usable; the message names it.
    """
    parameters = {name: config[name] for name in PARAMETERS if config.get(name) is not None}
    template = config.get("chat_template")
    if template is None:
        template = config.get("prompt_template")
    tools = config.get("tools")
    if tools is not None and not (
        isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)
    ):
        raise unfit("tools", "must be a list of objects")
    for name in ("other", "response_format"):
        if name in parameters and not isinstance(parameters[name], dict):
            raise unfit(name, "must be an object")
    return make_version(
        model=config.get("model"),
        provider=config.get("provider"),
        endpoint=config.get("endpoint"),
        template=template,
        parameters=parameters,
        tools=cast("list[dict[str, Any]]", tools),
        name=config.get("name"),
        description=config.get("description"),
    )


def _version(
    call: Call,
    project: Project,
    given: PromptVersion | None,
    source: str,
    environment: str | None,
) -> PromptVersion:
    shelf = PromptShelf(call.client.store)
    if given is not None:
        return shelf.register(project.key, given)
    if source == "config_id":
        version_id = cast("str", call.text("model_config_id", required=True))
        found = shelf.version(project.key, version_id)
        if found is None and not call.fields.keys() & {"project", "project_id"}:
            home = shelf.home_of(version_id)
            if home is not None and call.access.project in (None, home):
                found = shelf.version(home, version_id)
        if found is None:
            raise Refused(404, f"Project {project.name!r} has no config {version_id[:100]!r}.")
        return found
    found = shelf.deployed(project.key, environment or PRODUCTION)
    if found is None:
        raise Refused(
            404,
            f"Project {project.name!r} has no config deployed to {environment or PRODUCTION!r}. "
            "Register one with POST /model-configs (the first is deployed at once), or deploy one "
            f"with: afterword prompts deploy {project.key} CONFIG_ID",
        )
    return found


def _ask(
    call: Call,
    version: PromptVersion,
    inputs: dict[str, Any],
    messages: list[dict[str, Any]] | None,
    samples: int,
    user: str | None,
) -> Ask:
    parameters = dict(version.parameters)
    if call.fields.get("response_format"):
        parameters["response_format"] = _mapping(call, "response_format")
    if call.fields.get("seed") is not None:
        parameters["seed"] = call.fields["seed"]
    rendered: Any = version.render(inputs)
    logprobs = call.fields.get("logprobs")
    chat: list[dict[str, Any]] | None = None
    if messages is not None or isinstance(rendered, list):
        # A text template before a chat is what the model is told beforehand.
        before = rendered if isinstance(rendered, list) else _system(rendered)
        chat = [*cast("list[dict[str, Any]]", before), *(messages or ())]
        if not chat:
            raise unfit("messages", "is empty, and so is the config's template")
    elif version.endpoint == "chat" or (
        version.endpoint is None
        and version.provider != "anthropic"
        and not _COMPLETES.match(version.model)
        and call.fields.get("suffix") is None
        and logprobs is None
    ):
        chat = [{"role": "user", "content": rendered}]
    tool_choice = call.fields.get("tool_choice")
    return Ask(
        model=version.model,
        prompt=rendered if chat is None and isinstance(rendered, str) else None,
        messages=chat,
        parameters=parameters,
        tools=version.tools,
        tool_choice=tool_choice,
        user=user,
        suffix=call.text("suffix") if chat is None else None,
        logprobs=logprobs if chat is None else None,
        samples=samples,
    )


def _system(text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": text}] if text else []


def _mapping(call: Call, name: str, *, required: bool = False) -> dict[str, Any]:
    value = call.fields.get(name)
    if value is None and required:
        raise unfit(name, "field required", kind="value_error.missing")
    if value is not None and not isinstance(value, dict):
        raise unfit(name, "must be an object")
    return cast("dict[str, Any]", value or {})


def _messages(call: Call) -> list[dict[str, Any]]:
    given = call.fields.get("messages")
    if given is None:
        raise unfit("messages", "field required", kind="value_error.missing")
    if not isinstance(given, list) or not all(
        isinstance(message, dict) and isinstance(message.get("role"), str) for message in given
    ):
        raise unfit("messages", "must be a list of messages that each have a role")
    return cast("list[dict[str, Any]]", given)


def _flag(call: Call, name: str, default: bool) -> bool:
    value = call.fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise unfit(name, "must be true or false")
    return value
