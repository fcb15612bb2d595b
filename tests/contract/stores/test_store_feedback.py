"""Feedback in a store: history, current values, retries, and feedback that comes first."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import feedback, generation

from afterword.feedback.current import KEPT_REVISIONS, age, current
from afterword.feedback.rows import FeedbackRow
from afterword.ids import new_id
from afterword.stores import Store, open_store
from afterword.stores.protocol import Query


def rated(store: Store, project: str, value: str | None) -> list[str]:
    query = Query(project=project, feedback={"rating": value}, limit=1000)
    return [row.id for row in store.generations(query)]


def new_project() -> str:
    return f"p-{new_id()}"


def test_every_column_of_a_statement_is_kept(store: Store) -> None:
    row = FeedbackRow(
        id=new_id(), project="p", data_id=new_id(), type="action", label="copied", several=True,
        value='"copied"', sentiment="positive", signal="implicit", user="u", subject="s",
        rater="u", source="end_user", comment='"c"', metadata='{"k":1}', created_at=1, received_at=2,
        unset=False,
    )  # fmt: skip
    (kept,) = store.write([], [row])
    assert kept == row
    assert store.history([row.data_id]) == [row]


def test_what_is_kept_is_answered_in_order(store: Store) -> None:
    rows = [feedback(new_id(), at=at) for at in (5, 3, 4)]
    assert [row.id for row in store.write([], rows)] == [row.id for row in rows]


def test_history_is_of_the_generations_asked_for_oldest_first(store: Store) -> None:
    one, two, three = new_id(), new_id(), new_id()
    rows = [feedback(one, at=3), feedback(two, "bad", at=2), feedback(three, at=1)]
    store.write([], rows)
    assert store.history([one, two]) == [rows[1], rows[0]]
    assert store.history([one], "p") == [rows[0]]
    assert store.history([one], "q") == []
    assert store.history([]) == []


def test_a_retry_by_id_or_by_key_value_and_time_is_the_same_row(store: Store) -> None:
    data_id = new_id()
    row = feedback(data_id, at=1)
    store.write([], [row])
    same_id = feedback(data_id, "bad", id=row.id, at=2)
    same_key = feedback(data_id, at=1)
    assert store.write([], [same_id, same_key]) == [row, row]
    assert store.history([data_id]) == [row]
    others = [
        feedback(data_id, at=2), feedback(data_id, "bad", at=1), feedback(data_id, user="bob", at=1),
        feedback(data_id, "copied", type="action", at=1), feedback(data_id, None, at=1),
    ]  # fmt: skip
    store.write([], others)
    assert len(store.history([data_id])) == 6


def test_a_token_holder_s_history_is_kept_short_and_others_whole(store: Store) -> None:
    data_id = new_id()
    for at in range(KEPT_REVISIONS + 10):
        value = "good" if at % 2 else "bad"
        store.write([], [feedback(data_id, value, user=None, subject="s", at=at),
                         feedback(data_id, value, user="ann", at=at)])  # fmt: skip
    history = store.history([data_id])
    assert sum(row.subject == "s" for row in history) == KEPT_REVISIONS
    assert sum(row.user == "ann" for row in history) == KEPT_REVISIONS + 10
    newest = KEPT_REVISIONS + 9
    assert {row.created_at for row in current(history)} == {newest}


@st.composite
def said(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(("rating", "action")))
    values = ("copied", "saved") if kind == "action" else ("good", "bad")
    value = draw(st.none() | st.sampled_from(values))
    fields = {"type": kind, "value": value, "at": draw(st.integers(1, 5))}
    fields["user"] = draw(st.sampled_from(("ann", "bob")))
    if kind == "action" and value is None:
        fields["label"] = draw(st.sampled_from(("", "copied")))
    return fields


@settings(max_examples=40, deadline=None)
@given(
    st.lists(said(), min_size=1, max_size=8),
    st.integers(0, 8),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_the_current_value_in_listings_is_that_of_the_history_whatever_came_when(
    store: Store,
    statements: list[dict[str, Any]],
    before: int,
    elsewhere: bool,
    chance: random.Random,
) -> None:
    assumed = new_project()
    home = new_project() if elsewhere else assumed
    data_id = new_id()
    rows = [
        feedback(data_id, project=assumed, provisional=True, **{**fields, "received_at": n})
        for n, fields in enumerate(statements)
    ]
    arriving = [*rows, *chance.sample(rows, len(rows) // 2)]
    chance.shuffle(arriving)
    for row in arriving[:before]:
        store.write([], [msgspec.structs.replace(row)])
    store.write([generation(data_id, home)], [])
    for row in arriving[before:]:
        store.write([], [msgspec.structs.replace(row)])

    history = store.history([data_id])
    assert {row.project for row in history} == {home}
    assert not any(row.provisional for row in history)
    distinct = {
        (row.type, row.rater, row.label, row.value, row.created_at, row.unset) for row in rows
    }
    assert len(history) == len(distinct)
    assert history == sorted(history, key=age)
    standing = current(history)
    for value in ("good", "bad"):
        counts = any(row.type == "rating" and row.value == f'"{value}"' for row in standing)
        assert rated(store, home, f'"{value}"') == ([data_id] if counts else [])
    for sentiment in ("positive", "negative"):
        counts = any(row.sentiment == sentiment for row in standing)
        found = store.generations(Query(project=home, sentiment=sentiment))
        assert [row.id for row in found] == ([data_id] if counts else [])
    if elsewhere:
        assert store.generations(Query(project=assumed)) == []


def test_feedback_before_its_generation_leaves_a_stub_that_waits(store: Store) -> None:
    row = feedback(new_id(), project=new_project(), at=7)
    store.write([], [row])
    (stub,) = store.generations(Query(project=row.project))
    assert (stub.id, stub.status, stub.created_at) == (row.data_id, "waiting", 7)
    assert store.project_of(row.data_id) == row.project


def test_feedback_that_waits_is_not_taken_by_another_generation(store: Store) -> None:
    row = feedback(new_id(), project=new_project(), provisional=True)
    store.write([], [row])
    store.write([generation(project=new_project())], [])
    (kept,) = store.history([row.data_id])
    assert (kept.project, kept.provisional) == (row.project, True)


def test_feedback_meant_for_one_project_stays_when_the_id_is_used_in_another(store: Store) -> None:
    mine, theirs, data_id = new_project(), new_project(), new_id()
    store.write([], [feedback(data_id, project=mine, provisional=False)])
    store.write([generation(data_id, theirs)], [])
    assert [row.project for row in store.history([data_id])] == [mine]
    store.write([generation(data_id, mine)], [])
    assert rated(store, mine, None) == [data_id]
    assert rated(store, theirs, None) == []


def test_provisional_feedback_prefers_its_own_project_of_several(store: Store) -> None:
    mine, theirs, data_id = new_project(), new_project(), new_id()
    store.write([generation(data_id, theirs, created_at=1), generation(data_id, mine)], [])
    (kept,) = store.write([], [feedback(data_id, project=mine, provisional=True)])
    assert (kept.project, kept.provisional) == (mine, False)


def test_feedback_that_waits_joins_even_where_its_id_is_taken(store: Store) -> None:
    home, assumed, data_id, other = new_project(), new_project(), new_id(), new_id()
    store.write([generation(other, home)], [feedback(other, id="f-1", project=home)])
    store.write([], [feedback(data_id, "bad", id="f-1", project=assumed, provisional=True)])
    store.write([generation(data_id, home)], [])
    assert store.generation(data_id, home) is not None
    assert rated(store, home, '"bad"') == [data_id]
    assert rated(store, home, '"good"') == [other]


def test_a_user_is_erased_from_one_project_or_from_all(store: Store) -> None:
    user, here, there = f"u-{new_id()}", new_project(), new_project()
    rows = [generation(project=project, user=user) for project in (here, there)]
    said_of_others = generation(project=here)
    store.write(
        [*rows, said_of_others],
        [feedback(said_of_others.id, user=user, project=here), feedback(rows[0].id, project=here)],
    )
    store.put_alias(here, f"alias-{user}", rows[0].id)
    assert store.erase(user, here) > 0
    assert store.generation(rows[0].id) is None
    assert store.history([rows[0].id, said_of_others.id]) == []
    assert store.resolve(f"alias-{user}") is None
    assert rated(store, here, None) == []
    assert store.generation(rows[1].id) == rows[1]
    assert store.generation(said_of_others.id) == said_of_others
    store.erase(user)
    assert store.generation(rows[1].id) is None
    assert store.erase(user) == 0


def test_what_an_erased_user_did_before_does_not_come_back_and_later_records_are_kept(
    store: Store,
) -> None:
    user, project = f"u-{new_id()}", new_project()
    before, others = generation(project=project, user=user), generation(project=project)
    said = feedback(others.id, user=user, project=project)
    store.erase(user)
    assert store.write([before, others], [said]) == [said]
    assert store.generation(before.id) is None
    assert store.generation(others.id) == others
    assert store.history([others.id]) == []
    now = time.time_ns() // 1_000 + 1
    later = generation(project=project, user=user, created_at=now)
    of_long_ago = feedback(others.id, user=user, project=project, received_at=now)
    store.write([later], [of_long_ago])
    assert store.history([others.id]) == [of_long_ago]
    assert store.generation(later.id) == later


def test_an_erasure_in_one_project_leaves_late_records_of_others(store: Store) -> None:
    user, here, there = f"u-{new_id()}", new_project(), new_project()
    store.erase(user, here)
    rows = [generation(project=project, user=user) for project in (here, there)]
    store.write(rows, [])
    assert store.generation(rows[0].id) is None
    assert store.generation(rows[1].id) == rows[1]


def test_statements_of_one_write_are_kept_as_if_they_came_one_by_one(
    empty_store: Store, tmp_path: Path
) -> None:
    """New keys and known ones, retries, retractions, labels and strangers' generations, mixed."""
    draw = random.Random(7)
    one_by_one = open_store(f"sqlite:///{tmp_path / 'one-by-one.db'}")
    known = [new_id() for _ in range(6)]
    rows = [generation(data_id, "p" if number % 2 else "q") for number, data_id in enumerate(known)]
    for store in (empty_store, one_by_one):
        store.write([msgspec.structs.replace(row) for row in rows], [])
    ids = [*known, *(new_id() for _ in range(4))]
    said: list[FeedbackRow] = []
    for number in range(120):
        kind = draw.choice(["rating", "action"])
        values = ["good", "bad", None] if kind == "rating" else ["copied", "saved", None]
        row = feedback(
            draw.choice(ids),
            draw.choice(values),
            type=kind,
            user=draw.choice(["ann", "bob"]),
            at=1_000 + number,
            provisional=draw.random() < 0.6,
        )
        said.append(msgspec.structs.replace(draw.choice(said)) if said and number % 7 == 0 else row)
    for start in range(0, len(said), 10):
        part = said[start : start + 10]
        together = empty_store.write([], [msgspec.structs.replace(row) for row in part])
        alone = [one_by_one.write([], [msgspec.structs.replace(row)])[0] for row in part]
        assert list(together) == alone
    by_age = sorted(one_by_one.history(ids), key=lambda row: (row.data_id, row.created_at, row.id))
    assert (
        sorted(empty_store.history(ids), key=lambda row: (row.data_id, row.created_at, row.id))
        == by_age
    )
    for value in ('"good"', '"bad"'):
        wanted = Query(feedback={"rating": value}, limit=100)
        assert {row.id for row in empty_store.generations(wanted)} == {
            row.id for row in one_by_one.generations(wanted)
        }
    one_by_one.close()
