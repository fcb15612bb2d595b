"""Who is erased is gone from the spool, too: segments, dead letters, damage, and what a crash left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

import afterword
from afterword import Client
from afterword.cli.program import program
from afterword.delivery.dead_letters import DeadLetters
from afterword.delivery.files import RealFiles
from afterword.delivery.frames import Spooled, body_of
from afterword.delivery.spool import Spool
from afterword.errors import DeliveryError, StoreError
from afterword.feedback.rows import FeedbackRow
from afterword.ids import new_id
from afterword.server import create_app
from afterword.stores.rows import GenerationRow

sys.path.append(str(Path(__file__).parents[1]))

from api_server import serving  # noqa: E402

SECRET = "the-erased-user-7f3a"
SAID = "what only the erased user ever said 91c2"
WAIT_S = 20.0


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def is_on_disk(folder: Path) -> bool:
    found = bytes_on_disk(folder)
    return SECRET.encode() in found or SAID.encode() in found


def a_generation(user: str | None = SECRET, data_id: str | None = None) -> GenerationRow:
    said = f'"{SAID}"' if user == SECRET else '"something else"'
    return GenerationRow(
        id=data_id or new_id(), project="p", user=user, created_at=1_000_000, output=said
    )


def a_comment(data_id: str, user: str, said: str) -> FeedbackRow:
    return FeedbackRow(
        id=new_id(), project="p", data_id=data_id, type="comment", label="", several=False,
        value=f'"{said}"', sentiment=None, signal="free-form", user=user, subject=None, rater=user,
        source="reviewer", comment=None, metadata=None, created_at=1, received_at=1, unset=False,
    )  # fmt: skip


class Place:
    """A database and the spool beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "afterword.db"
        self.url = f"sqlite:///{self.path}"
        self.spool = folder / "afterword.db-spool"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others from writing to the database."""
        connection = apsw.Connection(str(self.path))
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    @property
    def letters(self) -> DeadLetters:
        self.spool.mkdir(mode=0o700, exist_ok=True)
        return DeadLetters(RealFiles(str(self.spool)))

    def segment(self, *rows: GenerationRow) -> Spool:
        """Another process's segment with these records, which lives until it is released."""
        self.spool.mkdir(mode=0o700, exist_ok=True)
        spool = Spool(RealFiles(str(self.spool)))
        spool.append([Spooled(generation=row) for row in rows], sync=True)
        return spool

    def names(self, ending: str) -> list[str]:
        return sorted(path.name for path in self.spool.glob(f"*{ending}"))


@pytest.fixture(autouse=True)
def hasty_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterword.stores.sqlite_files.BUSY_TIMEOUT_S", 0.1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    client = Client(place.url)
    client.store.open()
    client.close()
    return place


def test_no_file_of_a_spool_holds_a_byte_of_an_erased_user(place: Place) -> None:
    client = Client(place.url, "p")

    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return f"{question}: {SAID}"

    stored = client.log(output=SAID, user=SECRET)
    assert client.flush(WAIT_S)
    with place.locked():
        with afterword.trail(user=SECRET):
            answer(SAID)
        with afterword.trail(user="somebody else"):
            kept = client.log(output="something else")
        given = client.feedback(stored, "comment", SAID, user=SECRET)
        assert given.pending
        assert client.flush(WAIT_S)
        assert client.status().spooled == 3
        assert is_on_disk(place.spool)
        client.close()

    # Of a process that was killed: a segment, half a dead letter, and one with damage inside.
    orphaned, others = a_generation(), a_generation("somebody else")
    place.segment(orphaned, others).release()
    place.segment(a_generation(), a_generation(), a_generation()).release()
    segment = place.spool / place.names(".seg")[-1]
    broken = bytearray(segment.read_bytes())
    broken[len(broken) // 2] ^= 0x40
    segment.write_bytes(broken)
    (place.spool / "00-1-aa.dead.new").write_bytes(SAID.encode())
    (place.spool / "00-1-aa.seg.7.damaged").write_bytes(SAID.encode())
    (place.spool / "00-1-aa.dead").write_bytes(b"half of " + SAID.encode())
    letters = place.letters
    letters.put(body_of(Spooled(generation=a_generation())), "refused")
    letters.put(body_of(Spooled(feedback=[a_comment("g", SECRET, SAID)])), "refused")
    letters.put(
        body_of(Spooled(feedback=[a_comment(stored, "a reviewer", f"not {SAID}")])), "refused"
    )
    letters.put(b"\xc1 of a newer version: " + SECRET.encode(), "refused")
    letters.put(b"\xc1 of a newer version: of somebody else", "refused")
    letters.put(body_of(Spooled(generation=others)), "refused")

    client = Client(place.url, "p")
    assert client.erase(SECRET) >= 7
    assert not is_on_disk(place.folder)
    assert place.names(".seg") == place.names(".damaged") == place.names(".new") == []
    assert [letter.id for letter in letters.all() if letter.record is not None] == [others.id]
    assert len(letters.names()) == 2
    assert client.generations(user=SECRET).items == []
    for data_id in (kept, others.id):
        assert client.get(data_id) is not None
    client.close()
    assert not is_on_disk(place.folder)


def test_what_arrives_after_the_erasure_is_kept_out_and_leaves_no_byte(place: Place) -> None:
    client = Client(place.url, "p")
    client.log(output=SAID, user=SECRET)
    assert client.erase(SECRET) == 1
    place.segment(a_generation(), a_generation("somebody else")).release()
    place.letters.put(body_of(Spooled(generation=a_generation())), "refused")
    client.recorder.sender.look_for_segments()
    other = Client(place.url, "p")
    assert (
        CliRunner().invoke(program, ["dead-letters", "replay", "--all", "--url", place.url]).stdout
        == "1 taken, 0 still refused\n"
    )
    assert other.erase("nobody") == 0  # which waits for the segment
    assert not is_on_disk(place.folder)
    assert client.generations(user=SECRET).items == []
    assert len(client.generations(user="somebody else").items) == 1
    other.close()
    client.close()


def test_it_is_said_when_another_process_still_holds_records(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterword.delivery.erasing.WAIT_S", 0.3)
    client = Client(place.url, "p")
    client.log(output=SAID, user=SECRET)
    living = place.segment(a_generation())
    with pytest.raises(DeliveryError, match="1 segments of the spool.*erase again later"):
        client.erase(SECRET)
    assert client.generations(user=SECRET).items == []
    assert is_on_disk(place.spool)
    ended = CliRunner().invoke(program, ["erase", "--user", SECRET, "--url", place.url])
    assert isinstance(ended.exception, DeliveryError)

    living.release()
    client.erase(SECRET)
    assert not is_on_disk(place.folder)
    client.close()


def test_nothing_is_removed_while_the_store_is_away(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterword.delivery.erasing.WAIT_S", 0.3)
    place.letters.put(body_of(Spooled(generation=a_generation())), "refused")
    client = Client(place.url, "p")
    with place.locked(), pytest.raises(StoreError):
        client.erase(SECRET)
    assert len(place.letters.names()) == 1
    assert client.erase(SECRET) == 1
    assert not is_on_disk(place.folder)
    client.close()


def test_a_project_s_own_key_erases_that_project_s_dead_letters_only(place: Place) -> None:
    client = Client(place.url, "p")
    other = a_generation()
    other.project = "q"
    for row in (a_generation(), other):
        place.letters.put(body_of(Spooled(generation=row)), "refused")
    assert client.erase(SECRET, "p") == 1
    assert [letter.id for letter in place.letters.all()] == [other.id]
    client.close()


def test_the_command_goes_through_the_spools_of_all_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERWORD_SPOOL", str(tmp_path / "spool"))
    served = Client(f"sqlite:///{tmp_path / 'served.db'}")
    assert served.recorder.spool.is_on_disk
    its_own = served.recorder.dispatch.dead_letters
    assert its_own is not None
    its_own.put(body_of(Spooled(generation=a_generation())), "refused")
    with serving(create_app(served)) as url:
        for project in ("a", "b"):
            client = Client(url, project)
            client.log(output=SAID, user=SECRET)
            assert client.flush(WAIT_S)
            letters = client.recorder.dispatch.dead_letters
            assert letters is not None
            letters.put(body_of(Spooled(generation=a_generation())), "refused")
            client.close()
        # Of this project the store has never had a record.
        waiting = Client(url, "c")
        assert waiting.recorder.spool.is_on_disk
        letters = waiting.recorder.dispatch.dead_letters
        assert letters is not None
        letters.put(body_of(Spooled(generation=a_generation())), "refused")
        waiting.close()
        for expected in (6, 0):
            ended = CliRunner().invoke(program, ["erase", "--user", SECRET, "--url", url])
            assert (ended.exit_code, ended.output) == (0, f"{expected} records erased\n")
    served.close()
    assert not is_on_disk(tmp_path)
