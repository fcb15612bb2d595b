"""A generation as Humanloop writes a log (layer 5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from afterword.client import Client
from afterword.codec import to_json
from afterword.model import Generation
from afterword.prompts import PromptShelf
from afterword.server.humanloop.feedback_routes import feedback_shape
from afterword.server.humanloop.projects import Project
from afterword.server.humanloop.recording import EXTRAS, moment_text
from afterword.server.humanloop.shapes import config_shape

__all__ = ["LogShapes"]

_STATUS = {"running": "running", "waiting": "pending", "error": "failed"}
_EXTRA_FIELDS = (
    "source", "reference_id", "environment", "source_datapoint_id", "judgment", "stdout",
    "output_message", "prompt_cost", "output_cost", "provider_request", "provider_response",
    "finish_reason", "save",
)  # fmt: skip


class LogShapes:
    """Writes the logs of one project; each version is read once."""

    def __init__(self, client: Client, project: Project) -> None:
        self._project = project
        self._shelf = PromptShelf(client.store)
        self._configs: dict[str | None, dict[str, Any] | None] = {}

    def shape(self, generation: Generation) -> dict[str, Any]:
        """One log."""
        metadata = dict(generation.metadata or {})
        told: Any = metadata.pop(EXTRAS, None)
        extras = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
        usage = generation.usage
        counts = (None, None) if usage is None else (usage.input_tokens, usage.output_tokens)
        known = [count for count in counts if count is not None]
        duration_ms = generation.duration_ms
        if isinstance(extras.get("duration"), (int, float)):
            duration_ms = extras["duration"] * 1000
        ended = generation.created_at + timedelta(milliseconds=duration_ms or 0)
        error = None if generation.error is None else generation.error.message
        return {
            **{name: extras.get(name) for name in _EXTRA_FIELDS},
            "id": generation.id,
            "project": self._project.name,
            "project_id": self._project.id,
            "session_id": generation.session,
            "parent_id": generation.parent_id,
            "inputs": _inputs(generation.inputs),
            "messages": generation.messages if isinstance(generation.messages, list) else None,
            "output": _output(generation.output),
            "raw_output": _output(generation.output),
            "config": self._config(generation, extras),
            "config_id": generation.version,
            "metadata": metadata or None,
            "user": generation.user,
            "feedback": [feedback_shape(feedback) for feedback in generation.feedback],
            "error": extras.get("error", error),
            "duration": None if duration_ms is None else duration_ms / 1000,
            "provider_latency": None if duration_ms is None else duration_ms / 1000,
            "prompt_tokens": counts[0],
            "output_tokens": counts[1],
            "tokens": sum(known) if known else None,
            "evaluation_results": [],
            "observability_status": _STATUS.get(generation.status, "completed"),
            "batch_ids": [],
            "tools": [],
            "created_at": moment_text(generation.created_at),
            "updated_at": moment_text(ended),
        }

    def _config(self, generation: Generation, extras: dict[str, Any]) -> dict[str, Any]:
        if isinstance(extras.get("config"), dict):
            return {"id": generation.version or "", **extras["config"]}
        name = generation.version
        if name not in self._configs:
            version = None if name is None else self._shelf.version(self._project.key, name)
            self._configs[name] = None if version is None else config_shape(version)
        bare: dict[str, Any] = {
            "id": name or "",
            "type": "model",
            "model": generation.model or "unknown",
            "name": generation.name,
            "provider": generation.provider,
            "other": {},
        }
        return self._configs[name] or bare


def _inputs(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"inputs": value}


def _output(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else to_json(value)
