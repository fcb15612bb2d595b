"""F21, F24, F25: records in any order and any number of times, feedback first, one ID with two bodies."""

from __future__ import annotations

import json
import random
import urllib.request
from pathlib import Path
from typing import Any

import figures
import msgspec
import pytest
from fault_proxy import Toxics
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import Ledger
from stub_replies import refusal

from afterword.feedback.rows import FeedbackRow
from afterword.ids import new_id
from afterword.stores import open_store
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow, merge
from conftest import Rig


def records(data_id: str) -> list[GenerationRow]:
    """All that is sent of one generation: that it began, that it ended, and what was noted later."""

    def row(**fields: Any) -> GenerationRow:
        return GenerationRow(**{"id": data_id, "project": "p", "created_at": 7, **fields})

    return [
        row(status="running", inputs='"q"', tags='["a"]', metadata='{"k":0,"began":1}'),
        row(status="ok", inputs='"q"', output='"out"', duration_ms=3.0, metadata='{"k":1}'),
        row(status="waiting", created_at=9, patch='{"1":{"model":"m1","metadata":{"k":2}}}'),
        row(status="waiting", created_at=9, patch='{"2":{"model":"m2","tags":["b"]}}'),
        row(status="waiting", created_at=9, patch='{"3":{"input_tokens":5}}'),
    ]


def plain(row: GenerationRow) -> dict[str, Any]:
    """A row with its JSON read: the order of keys says nothing."""
    fields = msgspec.structs.asdict(row)
    for name in ("metadata", "patch"):
        fields[name] = json.loads(fields[name])
    fields["tags"] = sorted(json.loads(fields["tags"]))
    return fields


def merged(rows: list[GenerationRow]) -> dict[str, Any]:
    row = msgspec.structs.replace(rows[0])
    for other in rows[1:]:
        row = merge(row, msgspec.structs.replace(other))
    return plain(row)


IN_ORDER = merged(records("d"))


@pytest.mark.parametrize("examples", [300, pytest.param(5_000, marks=pytest.mark.long)])
def test_merging_is_commutative_idempotent_and_monotone(examples: int) -> None:
    parts = range(len(records("d")))

    @settings(max_examples=examples, deadline=None, database=None)
    @given(st.permutations(parts), st.lists(st.sampled_from(parts), max_size=20))
    def any_order(once: list[int], again: list[int]) -> None:
        made = records("d")
        assert merged([made[part] for part in [*once, *again]]) == IN_ORDER
        assert merged([made[part] for part in [*again, *once]]) == IN_ORDER

    with figures.run("F21 merge", permutations=2 * examples) as run:
        any_order()
        run.loops = 1


@pytest.mark.parametrize(
    ("generations", "seed"), [(1_000, 21), pytest.param(10_000, 22, marks=pytest.mark.long)]
)
def test_batches_shuffled_and_repeated_leave_one_row_each(
    tmp_path: Path, generations: int, seed: int
) -> None:
    dice = random.Random(seed)
    data_ids = [new_id() for _ in range(generations)]
    parts: list[GenerationRow | FeedbackRow] = []
    for data_id in data_ids:
        for part in [*records(data_id), said(data_id, "good", 1), said(data_id, "bad", 2)]:
            parts += [part] * dice.choice((1, 1, 2, 5))
    dice.shuffle(parts)
    store = open_store(f"sqlite:///{tmp_path}/shuffled.db")
    with figures.run("F21 shuffled batches", seed=seed, records=len(parts)) as run:
        place = 0
        while place < len(parts):
            batch = parts[place : place + dice.randint(1, 700)]
            place += len(batch)
            store.write(
                [msgspec.structs.replace(row) for row in batch if isinstance(row, GenerationRow)],
                [msgspec.structs.replace(row) for row in batch if isinstance(row, FeedbackRow)],
            )
        held = {row.id: row for row in store.by_ids(data_ids)}
        assert sorted(held) == sorted(data_ids)
        for data_id, row in held.items():
            assert plain(row) == {**IN_ORDER, "id": data_id}
        assert len(store.history(data_ids)) == 2 * generations
        bad = store.generations(Query(feedback={"rating": '"bad"'}, limit=generations + 1))
        assert len(bad) == generations
        run.loops, run.attempted, run.acknowledged = 1, 3 * generations, 3 * generations
    store.close()


def said(data_id: str, value: str, at: int) -> FeedbackRow:
    return FeedbackRow(
        id=f"{data_id[:34]}{value[:2]}", project="p", data_id=data_id, type="rating", label="",
        several=False, value=json.dumps(value), sentiment=None, signal="explicit", user="ann",
        subject=None, rater="ann", source="end_user", comment=None, metadata=None, created_at=at,
        received_at=at, unset=False, provisional=True,
    )  # fmt: skip


def test_late_and_repeated_requests_change_nothing(rig: Rig) -> None:
    with figures.run("F21 late and repeated requests") as run:
        client = rig.client()
        for number in range(6):
            rig.proxy.toxics = Toxics(reorder=2, duplicate_request=5)
            client.ask("log", prefix=f"a{number}", count=50)
            client.ask("flush", timeout_s=5)
            rig.proxy.toxics = Toxics(reorder=2, duplicate_request=5)
            client.ask("feedback", names=[f"a{number}-0"], value="good")
            client.ask("feedback", names=[f"a{number}-0"], value="bad")
            client.ask("flush", timeout_s=5)
            rig.proxy.toxics = Toxics(duplicate_request=5)
            client.ask("deliver", timeout_s=20)
            if number % 3 == 2:
                rig.proxy.deliver_kept_back()
        assert client.ask("settle", timeout_s=30)["spooled"] == 0
        rig.proxy.deliver_kept_back()
        client.ask("flush", timeout_s=5)
        client.end()
        run.more["sent"] = sum(len(request.data_ids) for request in rig.proxy.requests)
        assert run.more["sent"] > 300
        result = run.add(rig.check())
        assert (result.stored, result.forgone) == (312, ())
        reader = rig.client(rig.server.url)
        for number in range(6):
            found = reader.ask("get", name=f"a{number}-0")
            assert found["feedback"] == {"rating": "bad"}
        reader.end()


def test_feedback_waits_for_a_generation_that_another_program_still_has(
    rig: Rig, tmp_path: Path
) -> None:
    """The generations are in the spool of a program that was killed; its heir brings them."""
    with figures.run("F24 feedback first") as run:
        rig.proxy.script = lambda request: refusal(503)
        dead = rig.client()
        dead.ask("log", prefix="a", count=40)
        assert dead.ask("flush", timeout_s=5)["durable"]
        dead.kill()
        rig.proxy.script = lambda request: None
        names = [f"a-{number}" for number in range(40)]
        other = rig.client(AFTERWORD_SPOOL=str(tmp_path / "of the other"))
        assert other.ask("feedback", names=names)["pending"] == 0
        waiting = other.ask("get", name="a-7")
        assert (waiting["status"], waiting["feedback"]) == ("waiting", {"rating": "good"})
        heir = rig.client()
        heir.ask("log", prefix="heir", count=1)
        assert heir.ask("settle", timeout_s=30)["stored"] == 41
        heir.ask("flush", timeout_s=5)
        for name in names:
            found = heir.ask("get", name=name)
            assert (found["status"], found["feedback"]) == ("ok", {"rating": "good"})
        other.end()
        heir.end()
        run.more["joined"] = len(names)
        assert run.add(rig.check()).forgone == ()


def post(rig: Rig, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{rig.server.url}/api/v1/generations",
        json.dumps({"generations": [{"project": rig.project, **body}]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def test_of_two_bodies_under_one_id_the_first_is_kept_and_the_second_is_named(
    rig: Rig, ledger: Ledger
) -> None:
    with figures.run("F25 one ID, other body") as run:
        data_id = rig.data_id("twice")
        key = ledger.attempt(data_id, "in", "first")
        first = {"id": data_id, "inputs": "in", "output": "first"}
        assert post(rig, first) == {"accepted": 1, "duplicates": 0}
        ledger.acknowledge(key)
        assert post(rig, first) == {"accepted": 0, "duplicates": 1}
        conflict = post(rig, {**first, "output": "second"})
        assert conflict == {"accepted": 0, "duplicates": 1, "conflicts": [data_id]}
        # A program's own copy, by way of its spool, changes nothing either.
        client = rig.client()
        rig.proxy.script = lambda request: refusal(503)
        client.ask("log_as", name="twice", inputs="in", output="third")
        client.ask("log_as", name="own", inputs="in", output="first", keep=True)
        client.ask("log_as", name="own", inputs="in", output="second")
        assert client.ask("flush", timeout_s=5)["durable"]
        rig.proxy.script = lambda request: None
        assert client.ask("deliver", timeout_s=20)["stored"] == 3
        client.end()
        result = run.add(rig.check())
        assert (result.stored, result.altered) == (2, ())
