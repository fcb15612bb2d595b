"""`afterword dead-letters`: what a store refused is listed, tried again, and removed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from afterword import Client
from afterword.cli.program import program
from afterword.delivery.dead_letters import DeadLetters
from afterword.delivery.files import RealFiles
from afterword.delivery.frames import Spooled, body_of
from afterword.stores.rows import GenerationRow

WAIT_S = 20
POISON = """
CREATE TRIGGER poison BEFORE INSERT ON generations WHEN NEW.name = 'poison'
BEGIN SELECT RAISE(ABORT, 'no poison in here'); END
"""


class Place:
    """A database that refuses some records, as long as it is told to, and its spool."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "afterword.db"
        self.url = f"sqlite:///{self.path}"
        self.spool = folder / "afterword.db-spool"

    def tell(self, statement: str) -> None:
        connection = apsw.Connection(str(self.path))
        connection.execute(statement)
        connection.close()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.spool.glob("*.dead"))

    @property
    def letters(self) -> DeadLetters:
        self.spool.mkdir(mode=0o700, exist_ok=True)
        return DeadLetters(RealFiles(str(self.spool)))


Run = Callable[..., Result]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    client = Client(place.url)
    client.store.open()
    client.close()
    return place


@pytest.fixture
def run(place: Place) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(program, ["dead-letters", *arguments, "--url", place.url])

    return run


def refused(place: Place, *data_ids: str) -> None:
    """Let a real client meet a store that refuses these."""
    place.tell(POISON)
    client = Client(place.url, "bot")
    for data_id in data_ids:
        client.log(name="poison", output="x", data_id=data_id)
    client.log(name="fine", output="y")
    client.flush(WAIT_S)
    status = client.status()
    assert (status.dead_lettered, status.stored) == (len(data_ids), 1)
    client.close()


def test_a_refused_record_is_listed_refused_again_and_at_last_taken(place: Place, run: Run) -> None:
    refused(place, "first", "second")
    listed = run("list")
    assert listed.exit_code == 0, listed.output
    lines = listed.stdout.splitlines()
    assert [line.split("\t")[:3] for line in lines] == [
        ["first", "generation", "bot"],
        ["second", "generation", "bot"],
    ]
    assert all("no poison in here" in line for line in lines)

    again = run("replay", "--all")
    assert again.exit_code == 1
    assert "0 taken, 2 still refused" in again.stdout
    assert len(place.files()) == 2

    place.tell("DROP TRIGGER poison")
    one = run("replay", "second")
    assert (one.exit_code, one.stdout) == (0, "1 taken, 0 still refused\n")
    assert len(place.files()) == 1
    assert run("replay", "--all").stdout == "1 taken, 0 still refused\n"
    assert place.files() == []
    client = Client(place.url, "bot")
    assert {item.id for item in client.generations(name="poison").items} == {"first", "second"}
    client.close()


def test_some_may_be_taken_while_others_are_still_refused(place: Place, run: Run) -> None:
    place.tell(POISON)
    for name in ("poison", "fine"):
        row = GenerationRow(id=f"of-{name}", project="bot", name=name, created_at=1)
        place.letters.put(body_of(Spooled(generation=row)), "some reason")
    ended = run("replay", "--all")
    assert ended.exit_code == 1
    assert "1 taken, 1 still refused" in ended.stdout
    assert "of-poison" in ended.stderr
    assert "of-fine" not in ended.stderr
    assert [letter.id for letter in place.letters.all()] == ["of-poison"]


def test_letters_go_for_good_by_id_or_all_at_once(place: Place, run: Run) -> None:
    for number in range(3):
        row = GenerationRow(id=f"g{number}", project="bot", created_at=number)
        place.letters.put(body_of(Spooled(generation=row)), "some reason")
    assert run("drop", "g1").stdout == "1 dropped\n"
    assert [letter.id for letter in place.letters.all()] == ["g0", "g2"]
    unknown = run("drop", "g0", "g7")
    assert unknown.exit_code == 1
    assert "there is no dead letter g7" in unknown.output
    assert len(place.files()) == 2
    assert run("drop", "--all").stdout == "2 dropped\n"
    assert place.files() == []
    assert "No dead letters" in run("list").stderr


@pytest.mark.parametrize("command", ["drop", "replay"])
@pytest.mark.parametrize("arguments", [(), ("--all", "some-id")])
def test_which_letters_must_be_said_once(
    run: Run, command: str, arguments: tuple[str, ...]
) -> None:
    ended = run(command, *arguments)
    assert ended.exit_code == 2
    assert "either IDs or --all" in ended.output


def test_what_a_letter_says_cannot_steer_the_terminal(place: Place, run: Run) -> None:
    row = GenerationRow(id="g", project="a\x1b]0;x\x07\u202e", created_at=1)
    place.letters.put(body_of(Spooled(generation=row)), "why\x1b[2J\nnot\r\u2066")
    listed = run("list")
    assert listed.exit_code == 0
    assert listed.stdout.count("\n") == 1
    assert "why\\x1b[2J not" in listed.stdout
    quiet = listed.stdout.replace("\n", "").replace("\t", "")
    assert not {unicodedata.category(found) for found in quiet} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_letters_that_nobody_can_read_are_listed_and_can_be_dropped(place: Place, run: Run) -> None:
    place.letters.put(b"\xc1 what a later version wrote", "some reason")
    (place.spool / "00000000000000001-1-aa.dead").write_bytes(b"half a let")
    listed = run("list")
    assert [line.split()[1] for line in listed.stdout.splitlines()] == ["unreadable", "damaged"]
    ended = run("replay", "--all")
    assert ended.exit_code == 1
    assert "0 taken, 2 still refused" in ended.stdout
    assert run("drop", "00000000000000001-1-aa").stdout == "1 dropped\n"
    assert run("drop", "--all").stdout == "1 dropped\n"
    assert place.files() == []


def test_letters_are_listed_and_stay_while_the_store_is_away(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.path.write_bytes(b"no database, whatever its name says" * 100)
    row = GenerationRow(id="g", project="bot", created_at=1)
    place.letters.put(body_of(Spooled(generation=row)), "some reason")

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(
            program, ["dead-letters", command, *arguments, "--url", place.url]
        )

    assert "some reason" in run("list").stdout
    away = run("replay", "--all")
    assert away.exit_code == 1
    assert "the store is away" in away.output
    assert "0 were taken, 1 are still dead letters" in away.output
    assert len(place.files()) == 1


def test_what_waits_in_the_spool_is_not_touched(place: Place, run: Run) -> None:
    place.letters.put(b"\xc1", "some reason")
    waiting = place.spool / "00000000000000001-1-aa.seg"
    waiting.write_bytes(b"it waits")
    for arguments in (("list",), ("replay", "--all"), ("drop", "--all")):
        run(*arguments)
    assert waiting.read_bytes() == b"it waits"


def test_a_store_in_memory_says_that_it_has_none() -> None:
    ended = CliRunner().invoke(program, ["dead-letters", "list", "--url", "memory:"])
    assert ended.exit_code == 2
    assert "no spool on disk" in ended.output


def test_a_folder_that_others_may_write_to_is_not_read(place: Place, run: Run) -> None:
    place.letters.put(b"\xc1", "some reason")
    place.spool.chmod(0o777)
    ended = run("replay", "--all")
    assert ended.exit_code == 1
    assert "chmod 700" in str(ended.exception)
    assert len(place.files()) == 1


def test_each_project_of_a_server_has_letters_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERWORD_SPOOL", str(tmp_path / "spool"))
    url = "https://afterword.example"
    clients = {project: Client(url, project) for project in ("a", "b")}
    for project, client in clients.items():
        row = GenerationRow(id=f"of-{project}", project=project, created_at=1)
        assert client.recorder.spool.is_on_disk
        letters = client.recorder.dispatch.dead_letters
        assert letters is not None
        letters.put(body_of(Spooled(generation=row)), "some reason")
        client.close()
    for project in clients:
        ended = CliRunner().invoke(
            program, ["dead-letters", "list", "--url", url, "--project", project]
        )
        assert [line.split()[0] for line in ended.stdout.splitlines()] == [f"of-{project}"]
