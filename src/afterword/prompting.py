"""A deployed prompt inside one's own code, its version noted on the generation (layer 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterword.capture.annotations import annotate
from afterword.client import Client
from afterword.context import current_data_id
from afterword.default import default_client
from afterword.errors import InvalidInput
from afterword.prompts import PRODUCTION, PromptShelf, PromptVersion

__all__ = ["Prompt", "prompt"]


class Prompt:
    """A version of a project's prompt, ready to render.

    `version` is its ID; `model`, `provider` and `parameters` are what it says to call.
    """

    def __init__(self, project: str, content: PromptVersion) -> None:
        self.project = project
        self.content = content
        self.version = content.id
        self.model = content.model
        self.provider = content.provider
        self.parameters = dict(content.parameters)

    def __repr__(self) -> str:
        return f"<afterword.Prompt {self.project!r} {self.version}>"

    def render(self, inputs: Mapping[str, Any] | None = None) -> Any:
        """The template with its variables filled: text, or a list of chat messages.

        Inside a decorated function the generation gets this prompt's version.

        Raises:
            InvalidInput: a variable has no input; the message names all that are missing.
        """
        rendered = self.content.render(inputs)
        if current_data_id() is not None:
            annotate(version=self.version)
        return rendered


def prompt(
    project: str | None = None,
    *,
    environment: str = PRODUCTION,
    version: str | None = None,
    client: Client | None = None,
) -> Prompt:
    """The prompt that a project has deployed in an environment, or a version of it by its ID.

    `project` defaults to the client's, `client` to the default one. Reads the store each time,
    which may block; safe from any thread.

    Raises:
        InvalidInput: there is none.
        StoreError: the store cannot be read.
    """
    client = client or default_client()
    project = project or client.project
    shelf = PromptShelf(client.store)
    if version is not None:
        found = shelf.version(project, version)
    else:
        found = shelf.deployed(project, environment)
    if found is None:
        wanted = (
            f"version {version!r:.100}" if version else f"a version deployed to {environment!r}"
        )
        raise InvalidInput(
            f"project {project!r} does not have {wanted}; see: afterword prompts list {project}",
            field="project" if version is None else "version",
        )
    return Prompt(project, found)
