"""Configs as Humanloop writes them (layer 5)."""

from __future__ import annotations

from typing import Any

from afterword.prompts import PromptVersion
from afterword.server.humanloop.projects import Project

__all__ = ["config_shape", "project_config"]


def config_shape(version: PromptVersion) -> dict[str, Any]:
    """A version as Humanloop writes a config."""
    is_chat = isinstance(version.template, list)
    return {
        "id": version.id,
        "type": "model",
        "model": version.model,
        "name": version.name or version.id,
        "description": version.description,
        "provider": version.provider,
        "endpoint": version.endpoint or ("chat" if is_chat else "complete"),
        "prompt_template": None if is_chat else version.template,
        "chat_template": version.template if is_chat else None,
        "tool_configs": None,
        "tools": [
            {"id": str(index), "source": "inline", **tool}
            for index, tool in enumerate(version.tools)
        ],
        "other": {},
        **version.parameters,
    }


def project_config(project: Project, version: PromptVersion) -> dict[str, Any]:
    """A version in its project."""
    moment = version.created_at.isoformat()
    return {
        "project_id": project.id,
        "project_name": project.name,
        "created_at": moment,
        "updated_at": moment,
        "last_used": moment,
        "config": config_shape(version),
        "num_datapoints": None,
        "evaluation_aggregates": None,
    }
