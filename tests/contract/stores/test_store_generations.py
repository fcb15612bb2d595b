"""Generations in a store: kept whole, merged in any order, found by ID."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import feedback, full_generation, generation

from afterword.codec import from_json, to_json
from afterword.ids import new_id
from afterword.stores import Store, open_store
from afterword.stores.protocol import Query
from afterword.stores.rows import COLUMNS, GenerationRow


def plain(row: GenerationRow | None) -> dict[str, Any]:
    """A row with its JSON read, since the order of keys and tags says nothing."""
    assert row is not None
    fields = msgspec.structs.asdict(row)
    for column in ("metadata", "patch", "inputs", "output", "messages", "error"):
        if fields[column] is not None:
            fields[column] = from_json(fields[column])
    fields["tags"] = None if row.tags is None else sorted(from_json(row.tags))
    return fields


def test_every_column_of_a_row_is_kept(store: Store) -> None:
    row = full_generation(new_id())
    assert all(getattr(row, column) is not None for column in COLUMNS if column != "patch")
    store.write([row], [])
    assert store.generation(row.id) == row
    bare = generation()
    store.write([bare], [])
    assert store.generation(bare.id) == bare


def test_an_unknown_id_is_none(store: Store) -> None:
    assert store.generation("nobody") is None
    assert store.project_of("nobody") is None
    assert store.generation(new_id(), "p") is None


def test_a_batch_holds_new_rows_known_rows_and_the_same_row_twice(store: Store) -> None:
    known, fresh = generation(output='"first"'), generation()
    store.write([known], [])
    store.write([fresh, generation(known.id, output='"second"'), fresh], [])
    assert store.generation(known.id) == known
    assert store.generation(fresh.id) == fresh


@pytest.mark.parametrize("count", [1, 2, 3, 7, 249, 250, 251, 500, 763])
def test_a_batch_of_any_length_is_kept_whole(store: Store, count: int) -> None:
    # Stores may insert several rows a statement, so each has something of its own.
    rows = [generation(output=f'"{number}"') for number in range(count)]
    store.write(rows, [])
    found = {row.id: row for row in store.by_ids([row.id for row in rows])}
    assert [found[row.id] for row in rows] == rows
    late = generation(output='"late"')
    store.write([*rows[: count // 2], late, *rows[count // 2 :]], [])
    assert store.generation(late.id) == late
    assert len(store.by_ids([row.id for row in rows])) == count


def test_an_empty_batch_is_nothing(store: Store) -> None:
    assert store.write([], []) == []


def test_the_same_id_in_two_projects_is_two_generations(store: Store) -> None:
    data_id = new_id()
    early = generation(data_id, "b", created_at=1, output='"b"')
    late = generation(data_id, "a", created_at=2, output='"a"')
    store.write([late, early], [])
    assert store.generation(data_id, "a") == late
    assert store.generation(data_id, "b") == early
    assert store.generation(data_id) == early
    assert store.project_of(data_id) == "b"
    assert store.generation(data_id, "c") is None


def records(data_id: str) -> dict[str, GenerationRow]:
    """What may be sent of one generation: it began, it ended, and what was noted afterwards."""

    def noted(at: str, **fields: Any) -> GenerationRow:
        patch = to_json({at: fields})
        return generation(data_id, status="waiting", created_at=9_000, patch=patch)

    finished = full_generation(data_id)
    began = msgspec.structs.replace(
        finished, status="running", duration_ms=None, output=None, error=None, input_tokens=None,
        output_tokens=None, metadata='{"began":1,"k":0}', tags='["a"]',
    )  # fmt: skip
    return {
        "began": began,
        "finished": finished,
        "noted": noted("1", model="noted", metadata={"k": 2, "n": 1}, tags=["c"], output="noted"),
        "noted later": noted("2", model="later", metadata={"n": 2}, tags=["c", "d"]),
        "noted usage": noted("3", input_tokens=30, cost_usd=0.5),
        "stub": generation(data_id, status="waiting", created_at=9_000),
    }


MERGED = {
    **plain(full_generation("d")),
    "model": "later",
    "output": "noted",
    "input_tokens": 30,
    "cost_usd": 0.5,
    "metadata": {"began": 1, "k": 2, "n": 2},
    "tags": ["a", "b", "c", "d"],
}


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(sorted(records("d"))),
    st.lists(st.sampled_from(sorted(records("d"))), max_size=4),
    st.lists(st.integers(1, 4), min_size=10, max_size=10),
)
def test_records_merge_in_any_order_any_number_of_times(
    store: Store, once: list[str], again: list[str], batches: list[int]
) -> None:
    data_id = new_id()
    made = records(data_id)
    arriving = iter([*once, *again])
    for size in batches:
        batch = [made[name] for name in itertools.islice(arriving, size)]
        store.write([msgspec.structs.replace(row) for row in batch], [])
    merged = plain(store.generation(data_id))
    del merged["patch"]
    expected = {key: value for key, value in MERGED.items() if key != "patch"}
    assert merged == {**expected, "id": data_id}
    listed = store.generations(Query(project="p", limit=1000))
    assert [row.id for row in listed].count(data_id) == 1


@pytest.mark.parametrize("status", ["ok", "error", "cancelled", "abandoned"])
def test_of_two_ends_the_first_stays_and_a_late_beginning_changes_nothing(
    store: Store, status: str
) -> None:
    first = generation(status=status, output='"first"')
    store.write([first], [])
    store.write([generation(first.id, status="ok", output='"second"')], [])
    store.write([generation(first.id, status="running", created_at=5)], [])
    assert store.generation(first.id) == first


def test_a_running_generation_is_seen_before_it_ends(store: Store) -> None:
    running = generation(status="running", name="answer")
    store.write([running], [])
    assert store.generation(running.id) == running
    store.write([generation(running.id, output='"done"')], [])
    ended = store.generation(running.id)
    assert ended is not None
    assert (ended.status, ended.name, ended.output) == ("ok", "answer", '"done"')


def test_a_write_is_all_or_nothing(store: Store) -> None:
    good, data_id = generation(), new_id()
    bad = feedback(data_id)
    bad.type = None  # type: ignore[assignment]  # what no store takes
    with pytest.raises(Exception, match=r"."):
        store.write([good], [feedback(data_id), bad])
    assert store.generation(good.id) is None
    assert store.history([data_id]) == []
    store.write([good], [])
    assert store.generation(good.id) == good


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(max_examples=50, deadline=None)
@given(inputs=texts, name=texts, user=texts)
def test_any_storable_text_is_read_back_unchanged(
    store: Store, inputs: str, name: str, user: str
) -> None:
    row = generation(inputs=to_json(inputs), name=name, user=user)
    store.write([row], [])
    assert store.generation(row.id) == row


def test_two_stores_of_one_url_see_the_same_unless_they_are_in_memory(store: Store) -> None:
    row = generation()
    store.write([row], [])
    second = open_store(store.url)
    assert second.generation(row.id) == (None if store.url == "memory:" else row)
    second.close()


def test_a_write_tells_which_generations_had_ended_before(store: Store) -> None:
    ended, begun, awaited, fresh = new_id(), new_id(), new_id(), new_id()
    first = store.write(
        [
            generation(ended),
            generation(ended, "q", status="cancelled"),
            generation(begun, status="running"),
            generation(ended),  # again, but not before
        ],
        [feedback(awaited)],
    )
    assert first.known == set()
    rows = [generation(data_id) for data_id in (ended, begun, awaited, fresh)]
    again = store.write([*rows, *rows, generation(ended, "q")], [feedback(fresh)])
    assert again.known == {("p", ended), ("q", ended)}
    assert [said.data_id for said in again] == [fresh]
    assert store.write(rows, []).known == {("p", row.id) for row in rows}


def test_what_is_kept_under_ids_is_given_for_many_at_once(store: Store) -> None:
    one, other, unknown = generation(), generation(), new_id()
    twin = generation(one.id, "q")
    store.write([one, other, twin], [feedback(one.id)])
    found = store.by_ids([one.id, other.id, unknown])
    assert sorted(found, key=lambda row: (row.id, row.project)) == sorted(
        [one, twin, other], key=lambda row: (row.id, row.project)
    )
    assert store.by_ids([]) == []
