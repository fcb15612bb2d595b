"""What others wrote cannot steer the terminal of whoever runs the program."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from afterword.cli.demo.command import demo
from afterword.cli.exits import WrongSetup, run
from afterword.cli.program import program
from afterword.cli.terminal import printable

CORPUS = [
    "\x1b[31mred", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
    "\x9b31m", "a\rb", "a\x08\x08b", "\x00", "\x7f", "\u202egnp.exe", "\u2066a\u2069", "\u2028",
    "\u200b", "\ud800", "\x1bc", "\x1b[2J",
]  # fmt: skip


def is_quiet(text: str) -> bool:
    return all(
        character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for character in text
    )


def test_no_text_reaches_the_terminal_as_a_command() -> None:
    for text in (*CORPUS, "".join(map(chr, range(sys.maxunicode + 1)))):
        assert is_quiet(printable(text))
    assert printable("\x1b[31m\u202e") == "\\x1b[31m\\u202e"


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("Grüße, 世界! שלום 🙂\n\tline", "", "[bold]\\x1b"):
        assert printable(text) == text


@pytest.mark.parametrize("text", CORPUS)
def test_an_error_is_one_quiet_line(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: object) -> None:
        raise WrongSetup(f"no such thing: {text}\n{text}")

    monkeypatch.setattr(program, "main", fails)
    with pytest.raises(SystemExit):
        run(program)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert is_quiet(told)


def test_records_that_cannot_be_imported_are_told_quietly(tmp_path: Path) -> None:
    path = tmp_path / "logs\x1b[31m.json"
    records = [{"id": text, "created_at": text, text: text} for text in CORPUS[:-4]]
    path.write_text(json.dumps({"records": records}), "utf-8")
    url = f"sqlite:///{tmp_path}/afterword.db"
    ended = CliRunner().invoke(
        program, ["import", "humanloop", str(path), "--url", url], color=True
    )
    assert ended.exit_code == 1
    assert is_quiet(ended.output)
    assert "logs\\x1b[31m.json" in ended.output


def test_the_demo_listens_on_loopback_unless_told_otherwise() -> None:
    hosts = [option.default for option in demo.params if option.name == "host"]
    assert hosts == ["127.0.0.1"]
