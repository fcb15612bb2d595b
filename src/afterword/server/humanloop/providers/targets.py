"""Where a provider is and with which key, from the call and the environment (layer 5)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from afterword.errors import InvalidInput
from afterword.server.humanloop.providers import anthropic, openai
from afterword.server.humanloop.providers.asking import ProviderFailed, WireFormat

__all__ = ["Target", "target_of"]

_PUBLIC = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z")
_AZURE = ".azure.com"


@dataclass(frozen=True, slots=True)
class Target:
    """A provider that can be called. `takes_many` says that it makes several samples at once."""

    name: str
    base_url: str
    wire: WireFormat
    headers: dict[str, str] = field(repr=False)
    #: Kept so that it can be taken out of whatever the provider says.
    api_key: str | None = field(default=None, repr=False)
    takes_many: bool = False
    #: The model it has, whichever was asked for; None for any.
    model: str | None = None


def target_of(
    provider: str, given: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Target | None:
    """The provider of this name; None when nothing says where it is or with which key.

    `given` are the keys that came with the call; they win over the environment's.

    Raises:
        InvalidInput: the name is none, or the call's Azure endpoint is not one of Azure's.
        ProviderFailed: 424, its configuration is not usable.
    """
    if not _NAME.match(provider):
        raise InvalidInput("provider must be 1 to 40 of letters, digits, _ and -", field="provider")
    variables = _variables(provider)
    base_url = environment.get(variables[0]) or ""
    own_key = environment.get(variables[1]) or None
    api_key = given.get(provider) or own_key
    if provider == "openai_azure":
        base_url = _azure_url(base_url, given)
        if given.get("openai_azure_endpoint"):
            # Never the server's own key to an address that a caller chose.
            api_key = given.get(provider)
    if api_key is None and not base_url:
        return None
    base_url = base_url or _PUBLIC.get(provider, "")
    if not base_url:
        return None
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise ProviderFailed(
            424,
            "provider_not_configured",
            f"{variables[0]} must begin with http:// or https://",
            origin=provider,
        )
    base_url = base_url.rstrip("/")
    wire: WireFormat = openai
    if provider == "anthropic":
        wire = anthropic
        # Anthropic's own SDK takes its base URL without the version.
        base_url = base_url if base_url.endswith("/v1") else f"{base_url}/v1"
    headers = wire.headers(api_key)
    if provider == "openai_azure" and api_key is not None:
        headers = {"api-key": api_key}
    return Target(
        provider, base_url, wire, headers, api_key, provider in ("openai", "openai_azure")
    )


def how_to_configure(provider: str) -> str:
    """Which variables of the environment, or which key of the call, name a provider."""
    base_url, api_key = _variables(provider)
    needs = (
        f"{api_key} (or {base_url} of a compatible server)"
        if provider in _PUBLIC
        else (f"{base_url} and {api_key}")
    )
    return (
        f"The provider {provider!r} is not configured: set {needs} in the server's environment, or "
        f"send a key with the call in provider_api_keys."
    )


def is_anything_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names any provider at all."""
    names = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")
    return any(environment.get(name) for name in names) or any(
        value and re.match(r"AFTERWORD_PROVIDER_\w+_(BASE_URL|API_KEY)\Z", name)
        for name, value in environment.items()
    )


def _variables(provider: str) -> tuple[str, str]:
    name = provider.upper().replace("-", "_")
    stem = name if provider in ("openai", "anthropic") else f"AFTERWORD_PROVIDER_{name}"
    return f"{stem}_BASE_URL", f"{stem}_API_KEY"


def _azure_url(base_url: str, given: Mapping[str, str]) -> str:
    endpoint = given.get("openai_azure_endpoint")
    if endpoint:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
        if parts.scheme != "https" or not host.endswith(_AZURE) or parts.port not in (None, 443):
            raise InvalidInput(
                f"openai_azure_endpoint must be https and end in {_AZURE}",
                field="provider_api_keys",
            )
        base_url = f"https://{host}"
    if not base_url:
        return ""
    return base_url if "/openai" in base_url else f"{base_url.rstrip('/')}/openai/v1"
