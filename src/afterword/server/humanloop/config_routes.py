"""Configs: versions of a project's prompt, and which is active (layer 5)."""

from __future__ import annotations

from typing import Any, cast

from afterword.errors import InvalidInput
from afterword.prompts import PRODUCTION, PromptShelf
from afterword.server.humanloop.asked import version_of
from afterword.server.humanloop.projects import Project, ProjectBook
from afterword.server.humanloop.shapes import config_shape, project_config
from afterword.server.humanloop.wire import Call, Refused, Routes, unfit

__all__ = ["add_routes"]


def add_routes(routes: Routes) -> None:
    """``/model-configs`` and the configs of a project."""
    routes.add("POST", "/model-configs", "ingest", _register)
    routes.add("GET", "/model-configs/{id}", "read", _get)
    routes.add("GET", "/projects/{id}/configs", "read", _list)
    routes.add("GET", "/projects/{id}/active-config", "read", _active)
    routes.add("GET", "/projects/{id}/deployed-configs", "read", _deployments)
    routes.add("PATCH", "/projects/{id}/deploy-config", "admin", _deploy)


def _register(call: Call) -> Any:
    if call.fields.get("experiment"):
        raise Refused(410, "Experiments are not part of Afterword.")
    version = version_of(call.fields)
    project = ProjectBook(call.client).of(call, create=True)
    kept = PromptShelf(call.client.store).register(project.key, version, deploy_first=True)
    return project_config(project, kept)


def _get(call: Call) -> Any:
    shelf = PromptShelf(call.client.store)
    home = call.access.project or shelf.home_of(call.path["id"])
    version = None if home is None else shelf.version(home, call.path["id"])
    if version is None:
        raise Refused(404, f"There is no config {call.path['id'][:100]!r}.")
    return config_shape(version)


def _project(call: Call) -> Project:
    return ProjectBook(call.client).by_id(call.access, call.path["id"])


def _list(call: Call) -> Any:
    project = _project(call)
    return [
        project_config(project, version)
        for version in PromptShelf(call.client.store).versions(project.key)
    ]


def _active(call: Call) -> Any:
    project = _project(call)
    environment = call.query.get("environment", PRODUCTION)
    version = PromptShelf(call.client.store).deployed(project.key, environment)
    if version is None:
        raise Refused(404, f"Project {project.name!r} has no config deployed to {environment!r}.")
    return {**project_config(project, version), "environment_id": environment}


def _deployments(call: Call) -> Any:
    return _deployment_list(call, _project(call))


def _deploy(call: Call) -> Any:
    project = _project(call)
    version_id = cast("str", call.text("config_id", required=True))
    given: Any = call.fields.get("environments") or [{"id": PRODUCTION}]
    if not isinstance(given, list):
        raise unfit("environments", "must be a list of objects with an id")
    environments: list[str] = []
    for found in given:
        name = cast("dict[str, Any]", found).get("id") if isinstance(found, dict) else found
        if not isinstance(name, str):
            raise unfit("environments", "must be a list of objects with an id")
        environments.append(name)
    shelf = PromptShelf(call.client.store)
    if shelf.version(project.key, version_id) is None:
        raise Refused(404, f"Project {project.name!r} has no config {version_id[:100]!r}.")
    for environment in environments:
        try:
            shelf.deploy(project.key, version_id, environment)
        except InvalidInput as error:
            raise unfit("environments", str(error)) from None
    return _deployment_list(call, project)


def _deployment_list(call: Call, project: Project) -> list[dict[str, Any]]:
    shelf = PromptShelf(call.client.store)
    out: list[dict[str, Any]] = []
    for environment, version_id in shelf.deployments(project.key).items():
        version = shelf.version(project.key, version_id)
        if version is None:
            continue
        out.append(
            {
                **project_config(project, version),
                "environment_id": environment,
                "environment_name": environment,
                "environment_tag": "default" if environment == PRODUCTION else "other",
                "model_config_id": version.id,
                "model_config_name": version.name or version.id,
            }
        )
    return out
