"""Capture of model calls made with a provider's SDK: one file a provider, found by name (layer 4)."""

from __future__ import annotations

from typing import TypeVar

from afterword.capture.calls import gather_with
from afterword.capture.providers import prices
from afterword.capture.providers.attempts import attempt
from afterword.capture.providers.clients import captured, is_captured
from afterword.capture.providers.finding import provider_of_client, providers
from afterword.capture.providers.gathering import gathered
from afterword.configuration import is_disabled
from afterword.errors import ConfigError

__all__ = ["capture"]

C = TypeVar("C")

gather_with(gathered)


def capture(client: C) -> C:
    """A client like this one, of the same class, whose model calls are logged as generations.

    Takes a client of `openai` (OpenAI, AsyncOpenAI, whatever their `base_url`), of `anthropic`
    (Anthropic, AsyncAnthropic), of a class below one of them, or of another SDK of the same make as
    OpenAI's (such as `groq`). The client given is not changed; the two share their connections, so closing one closes both. Clients made by
    `copy` and `with_options` of the result are captured too. Capturing twice is harmless, and while
    AFTERWORD_DISABLED is set the client itself comes back.

    Inside a decorated function each call is a child of its generation, and its tokens, cost and
    model roll up to the outermost one; elsewhere it is a generation of its own. Nothing is added to
    a request, and nothing of ours is raised by one. Safe from any thread.

    Raises:
        ConfigError: it is not a client of a provider we know; the message names those.
    """
    provider = provider_of_client(client)
    if (
        provider is None
        or isinstance(client, type)
        or not callable(getattr(client, "request", None))
    ):
        known = "; ".join(f"{found.name} ({found.clients})" for found in providers().values())
        given = client.__name__ if isinstance(client, type) else f"a {type(client).__qualname__}"
        raise ConfigError(
            f"capture takes a client of {known}, or of an OpenAI-compatible SDK; not {given}"
        )
    if is_disabled() or is_captured(client):
        return client
    attempt("reading the price list", prices.load)
    twin: C = captured(client, provider)
    return twin
