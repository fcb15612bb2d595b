"""What is asked of a provider and what comes back, whichever it is (layer 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Answer", "Ask", "Piece", "ProviderFailed", "Sample", "WireFormat"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of a model. Either `prompt` (for an endpoint that completes text) or `messages`."""

    model: str
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    tools: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tool_choice: Any = None
    user: str | None = None
    suffix: str | None = None
    logprobs: int | None = None
    samples: int = 1


@dataclass(slots=True)
class Sample:
    """One answer of a model. `finish_reason` is stop, length or tool_call, None when not told."""

    text: str = ""
    finish_reason: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def message(self) -> dict[str, Any]:
        """The answer as a chat message."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message


@dataclass(slots=True)
class Answer:
    """What one request brought: samples, token counts where told, and the reply as it came."""

    samples: list[Sample]
    input_tokens: int | None = None
    output_tokens: int | None = None
    raw: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Piece:
    """A part of a streamed answer. Tool calls come in fragments, each with its `index`."""

    text: str = ""
    finish_reason: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    input_tokens: int | None = None
    output_tokens: int | None = None


class WireFormat(Protocol):
    """How one family of providers is spoken to. Pure functions on data; a module has this shape."""

    def request(self, ask: Ask, *, is_stream: bool) -> tuple[str, dict[str, Any]]:
        """The path below the base URL, and the body."""
        ...

    def headers(self, api_key: str | None) -> dict[str, str]: ...

    def answer(self, body: dict[str, Any]) -> Answer:
        """From a reply in one piece. Raises ValueError, KeyError or TypeError when it is none."""
        ...

    def piece(self, event: dict[str, Any]) -> Piece | None:
        """From an event of a stream; None when it brings nothing."""
        ...


class ProviderFailed(Exception):
    """The provider did not answer as it should.

    `status` is what this server answers: 429, 502, 504, or 424 when the provider is not configured.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        origin: str,
        code: int | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.origin = origin
        self.code = code
        self.retry_after = retry_after

    def detail(self) -> dict[str, Any]:
        """The documented shape of a provider's failure."""
        return {
            "type": self.kind,
            "message": self.message,
            "code": self.code if self.code is not None else self.status,
            "origin": self.origin,
        }
