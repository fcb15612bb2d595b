"""`afterword export`: a whole file or none, or standard output."""

from __future__ import annotations

import csv
import errno
import json
import os
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from afterword import Client
from afterword.cli.program import program
from afterword.errors import InvalidInput, StoreUnavailable
from afterword.insight.exporting import PAGE_ROWS
from afterword.model import to_microseconds
from afterword.server import create_app
from afterword.stores import open_store
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

sys.path.append(str(Path(__file__).parents[2]))

from api_server import serving  # noqa: E402

Run = Any


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/logs/afterword.db"


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "logs").mkdir()
    client = Client(url)
    at = [to_microseconds(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2, 3)]
    client.store.write(
        [
            GenerationRow(id="a", project="p", created_at=at[0], output='"=1+1"'),
            GenerationRow(id="b", project="p", created_at=at[1]),
            GenerationRow(id="c", project="q", created_at=at[2]),
        ],
        [],
    )
    client.feedback("a", "correction", "Better.", user="u")
    client.feedback("a", "rating", "bad", user="u")
    client.feedback("a", "rating", "good", user="u")
    yield client
    client.close()


@pytest.fixture
def run(client: Client, url: str) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(program, ["export", *arguments, "--url", url])

    return run


def records(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), "bac"),
        (("--project", "p"), "ba"),
        (("--since", "2026-01-02T00:00:00Z"), "bc"),
        (("--until", "2026-01-02"), "a"),
        (("--since", "2026-01-02", "--until", "2026-01-03", "--project", "p"), "b"),
    ],
)
def test_standard_output_has_what_the_options_choose(
    run: Run, options: tuple[str, ...], found: str
) -> None:
    assert "".join(record["id"] for record in records(run("generations", *options))) == found


def test_feedback_and_corrections_are_kinds_of_their_own(run: Run) -> None:
    said = [record["value"] for record in records(run("feedback"))]
    assert said == ["Better.", "good"]
    every = [record["value"] for record in records(run("feedback", "--history"))]
    assert every == ["Better.", "bad", "good"]
    (pair,) = records(run("corrections"))
    assert (pair["output"], pair["correction"]) == ("=1+1", "Better.")


def test_a_file_is_private_and_in_the_format_of_its_name(run: Run, tmp_path: Path) -> None:
    for name, options in (("x.csv", ()), ("x.out", ("--format", "csv")), ("x.jsonl", ())):
        path = tmp_path / name
        path.write_text("what was there before")
        path.chmod(0o644)
        result = run("generations", "--output", str(path), *options)
        assert result.exit_code == 0, result.output
        assert result.stdout == ""
        assert result.stderr == f"3 generations written to {path}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with path.open(encoding="utf-8", newline="") as file:
            is_csv = name != "x.jsonl"
            read: list[Any] = list(csv.DictReader(file)) if is_csv else list(map(json.loads, file))
        assert [row["output"] for row in read][1] == ("'=1+1" if is_csv else "=1+1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "x.csv", "x.jsonl", "x.out"]


class Failing:
    """A store that is away from its second page on."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def generations(self, wanted: Query) -> list[GenerationRow]:
        if wanted.after is not None:
            raise StoreUnavailable("the disk has gone")
        found: list[GenerationRow] = self._store.generations(wanted)
        return found


def test_a_store_that_goes_away_midway_leaves_what_was_there(
    run: Run, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.store.write(
        [GenerationRow(id=f"g{number}", project="a", created_at=number) for number in range(600)],
        [],
    )
    path = tmp_path / "x.jsonl"
    path.write_text("what was there before")
    monkeypatch.setattr(
        "afterword.cli.export.open_store", lambda url, **options: Failing(open_store(url))
    )
    piped = run("generations")
    assert isinstance(piped.exception, StoreUnavailable)
    assert len(piped.stdout.splitlines()) == PAGE_ROWS
    assert isinstance(run("generations", "--output", str(path)).exception, StoreUnavailable)
    assert path.read_text() == "what was there before"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["logs", "x.jsonl"]


def test_a_full_disk_is_told_in_one_line_and_leaves_no_part(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    result = run("generations", "--output", str(tmp_path / "x.csv"))
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert [found.name for found in tmp_path.iterdir()] == ["logs"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("everything",),
        ("generations", "--format", "xlsx"),
        ("generations", "--output", "/dev/null"),
        ("generations", "--output", "/"),
    ],
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize(
    "arguments",
    [("generations", "--since", "soon"), ("generations", "--history")],
)
def test_an_option_that_makes_no_sense_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    assert isinstance(run(*arguments).exception, InvalidInput)


def test_a_folder_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    result = run("generations", "--output", str(tmp_path / "none" / "x.csv"))
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr


def test_a_server_is_exported_as_its_file_is(run: Run, client: Client) -> None:
    with serving(create_app(client)) as server:
        for kind in ("generations", "feedback", "corrections"):
            away = CliRunner().invoke(program, ["export", kind, "--url", server])
            assert records(away) == records(run(kind))
