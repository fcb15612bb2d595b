"""What a call cost, from genai-prices when the extra `prices` is installed (layer 4)."""

from __future__ import annotations

import functools
import importlib
from typing import Any
from urllib.parse import urlsplit

from afterword.capture.providers.folding import Tokens


@functools.cache
def _price_list() -> Any:
    """The package, or None. It takes half a second to import, so `load` does it ahead of calls."""
    try:
        return importlib.import_module("genai_prices")
    except ImportError:
        return None


def load() -> None:
    """Read the price list now, if there is one, so that no call has to wait for it."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    cost_usd("openai", "https://api.openai.com", "gpt-4o", usage, Tokens(1, 1), "chat")


def cost_usd(
    provider: str, base_url: str, model: str, usage: Any, tokens: Tokens, usage_kind: str
) -> float | None:
    """US dollars for this usage, or None when the list is absent or does not know the model.

    The server's address decides whose prices count; an address that the list does not know, such
    as a gateway's, is taken for `provider` itself.
    """
    prices = _price_list()
    if prices is None or type(usage) is not dict or tokens == (None, None):
        return None
    priced_by = _priced_by(provider, _origin(base_url))
    if priced_by is None or not _is_known(priced_by, model):
        return None
    for kind in (usage_kind, "default"):
        try:
            extracted = prices.extract_usage(
                {"model": model, "usage": usage}, provider_id=priced_by, api_flavor=kind
            )
            return float(extracted.calc_price().total_price)
        except (LookupError, ValueError, TypeError):
            continue
    counts = prices.Usage(input_tokens=tokens.input, output_tokens=tokens.output)
    return float(prices.calc_price(counts, model, provider_id=priced_by).total_price)


def _origin(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


@functools.lru_cache(maxsize=64)
def _priced_by(provider: str, origin: str) -> str | None:
    """The list's name for who answers at this address."""
    snapshot = _price_list().data_snapshot.get_snapshot()
    for name, address in ((None, origin), (provider, None)):
        try:
            return str(snapshot.find_provider(None, name, address).id)
        except LookupError:
            continue
    return None


@functools.lru_cache(maxsize=512)
def _is_known(priced_by: str, model: str) -> bool:
    """Asked once a model: the list takes milliseconds to find that it does not have one."""
    snapshot = _price_list().data_snapshot.get_snapshot()
    try:
        snapshot.find_provider_model(model, None, priced_by, None)
    except LookupError:
        return False
    return True
