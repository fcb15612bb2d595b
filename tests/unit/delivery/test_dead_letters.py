"""Dead letters: kept with the reason, given again, removed, and erased with their user."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from recorder_doubles import MoodyStore, a_statement

from afterword.delivery.dead_letters import DeadLetters, reason_of
from afterword.delivery.files import RealFiles
from afterword.delivery.frames import Spooled, body_of
from afterword.errors import DeliveryError, StoreError, StoreTooLarge
from afterword.stores.rows import GenerationRow


@pytest.fixture
def letters(tmp_path: Path) -> DeadLetters:
    ticks = iter(range(1, 1_000))
    return DeadLetters(RealFiles(str(tmp_path)), now=lambda: next(ticks))


def a_body(data_id: str, user: str | None = None, created_at: int = 1) -> bytes:
    row = GenerationRow(id=data_id, project="p", created_at=created_at, user=user)
    return body_of(Spooled(generation=row))


def test_a_letter_is_kept_whole_with_its_reason(letters: DeadLetters, tmp_path: Path) -> None:
    letters.put(a_body("g", "ann"), "the store said no")
    (kept,) = letters.all()
    assert (kept.kind, kept.id, kept.project, kept.users) == ("generation", "g", "p", {"ann"})
    assert (kept.reason, kept.at, kept.body) == ("the store said no", 1, a_body("g", "ann"))
    (path,) = tmp_path.iterdir()
    assert path.name == kept.name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_letters_come_in_the_order_their_records_were_made(letters: DeadLetters) -> None:
    for number in (7, 1, 11, 3):
        letters.put(a_body(f"g{number}", created_at=number), "no")
    assert [letter.id for letter in letters.all()] == ["g1", "g3", "g7", "g11"]


def test_a_record_that_is_given_up_once_more_is_one_letter(letters: DeadLetters) -> None:
    for reason in ("no", "no again"):
        letters.put(a_body("g"), reason)
        letters.put(b"\xc1", reason)
    letters.put(a_body("h"), "no")
    assert sorted(letter.id for letter in letters.all() if letter.record) == ["g", "h"]
    assert len(letters.names()) == 3


def test_feedback_given_together_is_one_letter(letters: DeadLetters) -> None:
    rows = [a_statement("a"), a_statement("b")]
    rows[0].user, rows[1].user = "ann", "bob"
    letters.put(body_of(Spooled(feedback=rows)), "no")
    (kept,) = letters.all()
    assert (kept.kind, kept.id, kept.project) == ("feedback", rows[0].id, "p")
    assert kept.users == {"ann", "bob"}


def test_any_reason_can_be_kept_and_a_long_one_is_cut(letters: DeadLetters) -> None:
    letters.put(a_body("g"), "\ud800" + "x" * 5_000)
    (kept,) = letters.all()
    assert kept.reason == "?" + "x" * 1_999


def test_what_a_newer_version_wrote_can_be_told_from_others_and_stays(letters: DeadLetters) -> None:
    letters.put(b"\xc1", "no")
    (kept,) = letters.all()
    assert (kept.kind, kept.project, kept.users) == ("unreadable", "", set())
    assert kept.id == kept.name.removesuffix(".dead")
    with pytest.raises(DeliveryError, match="newer version"):
        letters.replay(kept, MoodyStore())
    assert letters.names() == [kept.name]


def test_a_damaged_letter_is_passed_over(letters: DeadLetters, tmp_path: Path) -> None:
    letters.put(a_body("g"), "no")
    letters.put(a_body("h"), "no")
    path = tmp_path / letters.names()[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert letters.get(path.name) is None
    assert letters.get("gone.dead") is None
    assert [letter.id for letter in letters.all()] == ["h"]
    assert len(letters.names()) == 2


def test_a_letter_goes_when_the_store_takes_it_and_stays_when_not(letters: DeadLetters) -> None:
    store = MoodyStore()
    letters.put(a_body("g"), "no")
    (kept,) = letters.all()

    def refuse(*_: object) -> None:
        raise StoreTooLarge

    store.mood = refuse
    with pytest.raises(StoreTooLarge):
        letters.replay(kept, store)
    assert letters.names() == [kept.name]
    store.mood = None
    letters.replay(kept, store)
    assert letters.names() == []
    assert store.generation("g") is not None
    letters.drop(kept.name)  # gone already, which is no fault


def test_an_alias_in_a_letter_is_resolved_when_the_store_takes_it(letters: DeadLetters) -> None:
    store = MoodyStore()
    store.write([GenerationRow(id="the-data-id", project="p", created_at=1)], [])
    store.put_alias("p", "message 7", "the-data-id")
    row = a_statement("message 7")
    row.provisional = True
    letters.put(body_of(Spooled(feedback=[row])), "no")
    (kept,) = letters.all()
    letters.replay(kept, store)
    assert [said.id for said in store.history(["the-data-id"])] == [row.id]
    assert store.history(["message 7"]) == []


def test_a_user_s_letters_are_erased_and_no_others(letters: DeadLetters, tmp_path: Path) -> None:
    theirs, others, about = a_statement("x"), a_statement("y"), a_statement("of-ann")
    theirs.user, others.user = "ann", "bob"
    for body in (
        a_body("g", "ann"), a_body("h", "bob"), body_of(Spooled(feedback=[theirs, others])),
        body_of(Spooled(feedback=[others])), body_of(Spooled(feedback=[about])),
        b"\xc1 of ann", b"\xc1 of bob",
    ):  # fmt: skip
        letters.put(body, "no")
    (tmp_path / "damaged.dead").write_bytes(b"whose?")
    assert letters.erase("ann", {"of-ann"}) == 5
    left = sorted((letter.users for letter in letters.all()), key=sorted)
    assert left == [set(), {"bob"}, {"bob"}]
    assert not (tmp_path / "damaged.dead").exists()


def test_of_one_project_only_its_letters_are_erased(letters: DeadLetters) -> None:
    letters.put(a_body("g", "ann"), "no")
    assert letters.erase("ann", project="q") == 0
    assert letters.erase("ann", project="p") == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreError("told by us"), "told by us"),
        (ValueError("told by others"), "ValueError: told by others"),
        (KeyError(), "KeyError: "),
    ],
)
def test_a_reason_says_what_kind_of_error_it_was(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_an_error_that_cannot_be_read_has_a_reason_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert reason_of(Mute()) == "Mute: "
