"""`afterword prompts`: from a file to a deployed version, and how two compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterword.cli.prompts import prompts
from afterword.errors import InvalidInput

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(
            prompts, [*arguments, "--url", f"sqlite:///{tmp_path}/p.db"], input=text
        )

    return run


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_a_file_becomes_a_version_that_is_deployed(run: Run, tmp_path: Path) -> None:
    template = tmp_path / "answer.txt"
    template.write_text("Answer: {{question}}\n", "utf-8")
    options = ("--model", "gpt-4o", "--set", "temperature=0.2", "--name", "main")
    (first,) = lines(run("register", "bot", str(template), *options))
    assert lines(run("register", "bot", str(template), *options)) == [first]
    shown = json.loads(run("show", "bot").stdout)
    assert shown["id"] == first
    # The line feed at the end of a file is no part of the prompt.
    assert shown["template"] == "Answer: {{question}}"
    assert shown["parameters"] == {"temperature": 0.2}

    messages = json.dumps([{"role": "system", "content": "Be {{mood}}"}])
    (second,) = lines(
        run("register", "bot", "-", "--model", "gpt-4o", "--deploy", "staging", text=messages)
    )
    listed = [line.split("\t") for line in lines(run("list", "bot"))]
    assert [(found[0], found[2], found[4]) for found in listed] == [
        (second, "staging", ""),
        (first, "production", "main"),
    ]
    assert lines(run("list")) == ["bot"]
    assert {"-temperature: 0.2", "+Be {{mood}}"} <= set(lines(run("diff", "bot", first, second)))
    run("deploy", "bot", second)
    assert json.loads(run("show", "bot").stdout)["id"] == second
    assert json.loads(run("show", "bot", first).stdout)["id"] == first


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", "bot", "config_0"), ("show", "bot"), ("show", "bot", "config_0"),
        ("diff", "bot", "config_0", "config_1"), ("register", "\0", "-", "--model", "m"),
        ("register", "bot", "-", "--model", "m", "--set", "warmth=1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, text="x")
    assert isinstance(result.exception, InvalidInput)


def test_a_setting_without_a_value_is_a_wrong_call(run: Run) -> None:
    result = run("register", "bot", "-", "--model", "m", "--set", "warm", text="x")
    assert result.exit_code == 2
    assert "NAME=JSON" in result.stderr
