"""The ledger itself: each way in which a store can be wrong is told from the others."""

from __future__ import annotations

import json
from pathlib import Path

import figures
import pytest
from ledger import Held, Ledger, Result, check, digest, held_in_sqlite, read

from afterword import Client


def held(*data_ids: str, output: str = "out") -> Held:
    return Held([(f"generation {data_id}", digest(["in", output])) for data_id in data_ids])


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    for data_id in ("a", "b", "c"):
        ledger.attempt(data_id, "in", "out")
    ledger.acknowledge("generation a", "generation b")
    return ledger


def test_a_store_that_holds_what_was_acknowledged_agrees(three: Ledger) -> None:
    result = check(three.read(), held("a", "b")).require()
    assert (result.attempted, result.acknowledged, result.stored) == (3, 2, 2)
    assert result.forgone == ("generation c",)
    check(three.read(), held("a", "b", "c")).require()


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ("lost", held("a")),
        ("duplicated", held("a", "b", "b")),
        ("invented", held("a", "b", "d")),
        ("altered", Held([*held("a").rows, *held("b", output="other").rows])),
    ],
)
def test_each_way_to_disagree_is_told(three: Ledger, wrong: str, found: Held) -> None:
    result = check(three.read(), found)
    with pytest.raises(AssertionError, match=wrong):
        result.require()
    others = {"lost", "duplicated", "invented", "altered"} - {wrong}
    assert all(getattr(result, other) == () for other in others)


def test_a_damaged_store_disagrees(three: Ledger) -> None:
    with pytest.raises(AssertionError, match="page 7 is torn"):
        check(three.read(), Held(held("a", "b").rows, "page 7 is torn")).require()


def test_a_line_cut_by_a_kill_is_passed_over(three: Ledger, tmp_path: Path) -> None:
    whole = three.path.read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[:-10])
    assert read(cut).acknowledged == {"generation a"}
    assert read(cut, three.path).acknowledged == {"generation a", "generation b"}


def test_a_real_store_is_read_without_our_own_code(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(f"sqlite:///{tmp_path}/a.db")
    inputs, output = {"q": "why", "n": [1, 2.5, None]}, "bécause 😀"
    for number in range(20):
        ledger.attempt(f"g{number}", inputs, output)
        client.log(data_id=f"g{number}", inputs=inputs, output=output)
        key = ledger.attempt_feedback(f"g{number}", "rating", "good", "ann")
        client.feedback(f"g{number}", "rating", "good", user="ann")
        ledger.acknowledge(key)
    assert client.flush(10)
    client.close()
    ledger.acknowledge_all()
    result = check(ledger.read(), held_in_sqlite(tmp_path / "a.db")).require()
    assert (result.stored, result.acknowledged, result.forgone) == (40, 40, ())


def test_each_run_is_one_line_and_one_line_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, three: Ledger
) -> None:
    path = tmp_path / "figures.jsonl"
    monkeypatch.setenv(figures.NAMED_BY, str(path))
    monkeypatch.setattr(figures, "LINES", [])
    with figures.run("F99", seed=7, exit_s=0.5) as run:
        result: Result = run.add(check(three.read(), held("a")))
    assert result.lost == ("generation b",)
    assert figures.LINES[0].startswith(
        "F99: 1 loops, 3 attempted, 2 acknowledged, 1 lost, 0 duplicated"
    )
    assert figures.LINES[0].endswith("seed 7, exit_s 0.5")
    (line,) = path.read_text().splitlines()
    written = json.loads(line)
    assert (written["fault"], written["lost"], written["more"]) == ("F99", 1, {"exit_s": 0.5})
