"""The model the demo talks to: the local one or any OpenAI-compatible endpoint (layer 6)."""

from __future__ import annotations

from dataclasses import dataclass

import openai

from afterword.server.local_model import MODEL_NAME, LocalModel

__all__ = [
    "ChatModel",
    "EndpointError",
    "explain_failure",
    "local_chat_model",
    "remote_chat_model",
]

_TIMEOUT_S = 120.0


class EndpointError(Exception):
    """The endpoint cannot be used as it was given; the message says what to change."""


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A chat model: the name it is asked by, where it runs in words, and the client that reaches it."""

    name: str
    place: str
    client: openai.AsyncOpenAI


def local_chat_model(model: LocalModel) -> ChatModel:
    """The model that runs in this process."""
    client = openai.AsyncOpenAI(
        base_url=model.base_url,
        api_key=model.api_key,
        timeout=_TIMEOUT_S,
        max_retries=0,
        # A proxy named by the environment cannot reach this process.
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
    )
    return ChatModel(name=MODEL_NAME, place="on this machine", client=client)


def remote_chat_model(base_url: str | None, name: str | None, api_key: str | None) -> ChatModel:
    """The model behind an OpenAI-compatible endpoint; without a name, the first one it lists.

    Raises:
        EndpointError: the address is not one, or no name was given and the endpoint does not list
            its models.
    """
    if base_url and not base_url.startswith(("http://", "https://")):
        raise EndpointError(
            f"--base-url {base_url} must begin with http:// or https://, as in http://127.0.0.1:8000/v1"
        )
    key = api_key or "none"
    try:
        chosen = name or _first_model(base_url, key)
        client = openai.AsyncOpenAI(base_url=base_url, api_key=key, timeout=_TIMEOUT_S)
    except (openai.OpenAIError, ValueError, TypeError) as error:
        raise EndpointError(
            f"{base_url} does not list its models ({_one_line(error)}); check the address and"
            " OPENAI_API_KEY, or name a model with --model"
        ) from error
    return ChatModel(name=chosen, place=f"at {client.base_url.host}", client=client)


def _first_model(base_url: str | None, api_key: str) -> str:
    with openai.OpenAI(base_url=base_url, api_key=api_key, timeout=10.0, max_retries=0) as client:
        for model in client.models.list():
            return model.id
    raise ValueError("the list is empty")


def explain_failure(error: Exception) -> str:
    """What went wrong with the model, in words for the person who asked."""
    if isinstance(error, openai.APITimeoutError):
        return "The model took too long to answer. Try again."
    if isinstance(error, openai.APIConnectionError):
        return "The model cannot be reached. Try again in a moment."
    if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
        return "The model's endpoint refused the key. Check OPENAI_API_KEY and start again."
    if isinstance(error, openai.NotFoundError):
        return "The endpoint does not know this model. Check --model and --base-url."
    if isinstance(error, openai.RateLimitError):
        return "The model's endpoint is busy or over its quota. Try again later."
    if isinstance(error, openai.BadRequestError) and "context" in str(error):
        return "This is too long for the model. Ask something shorter, or start a new chat."
    return "The model failed to answer. Try again."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
