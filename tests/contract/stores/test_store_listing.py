"""Listings of a store: filters bind what they are given, and pages follow each other by keyset."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import feedback, generation

from afterword.codec import to_json
from afterword.ids import new_id
from afterword.stores import Store
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow


def pages(store: Store, query: Query) -> list[GenerationRow]:
    """All pages, one after the other."""
    found: list[GenerationRow] = []
    while True:
        page = store.generations(query)
        found += page
        if len(page) < query.limit:
            return found
        last = page[-1]
        query = msgspec.structs.replace(query, after=(last.created_at, last.id, last.project))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 5))
def test_pages_together_are_everything_once_newest_first(
    store: Store, moments: list[int], limit: int
) -> None:
    project = f"p-{new_id()}"
    rows = [generation(project=project, created_at=at) for at in moments]
    store.write(rows, [])
    expected = sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)
    assert pages(store, Query(project=project, limit=limit)) == expected


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_all_projects_hold_each_of_those_that_share_an_id_and_a_time(
    store: Store, limit: int
) -> None:
    data_id, at = f"outside-{new_id()}", int(new_id()[-12:], 16)
    rows = [generation(data_id, project=f"p{n}-{new_id()}", created_at=at) for n in range(5)]
    store.write(rows, [])
    found = pages(store, Query(since=at, until=at + 1, limit=limit))
    assert sorted(found, key=lambda row: row.project) == rows


FIELDS = ("name", "version", "model", "status", "user", "session")
HOSTILE = [
    "' OR 1=1 --",
    '"; DROP TABLE generations; --',
    "%",
    "_",
    "a%b_c!d",
    "\\",
    "é😀",
    "NULL",
    ":project",
    "' || (SELECT value FROM settings) || '",
]


@pytest.mark.parametrize("field", sorted({*FIELDS} - {"status"}))
@pytest.mark.parametrize("value", HOSTILE)
def test_a_filter_means_exactly_the_text_it_is_given(store: Store, field: str, value: str) -> None:
    project = f"p-{new_id()}"
    wanted = generation(project=project, **{field: value})
    store.write([wanted, generation(project=project, **{field: "other"})], [])
    query: Any = {field: value}
    assert store.generations(Query(project=project, **query)) == [wanted]
    assert store.generations(Query(project=f"{project}{value}")) == []


@pytest.mark.parametrize("value", HOSTILE)
def test_a_search_for_text_means_exactly_that_text(store: Store, value: str) -> None:
    project = f"p-{new_id()}"
    rows = [
        generation(project=project, created_at=at, **{column: to_json({"k": f"x{value}y"})})
        for at, column in enumerate(("inputs", "output", "messages", "error"))
    ]
    store.write([*rows, generation(project=project, inputs='"something else"', name=value)], [])
    assert store.generations(Query(project=project, text=value)) == rows[::-1]


def test_filters_hold_together(store: Store) -> None:
    project = f"p-{new_id()}"
    columns: dict[str, Any] = dict.fromkeys(FIELDS, "ok")
    wanted = generation(project=project, created_at=10, inputs='"needle"', **columns)
    others = [
        generation(project=project, created_at=10, inputs='"needle"', **{**columns, field: other})
        for field, other in ((field, "error") for field in FIELDS)
    ]
    said_of = [feedback(row.id, project=project) for row in (wanted, *others)]
    unsaid = generation(project=project, created_at=10, inputs='"needle"', **columns)
    early, late = (
        generation(project=project, created_at=at, inputs='"needle"', **columns) for at in (9, 11)
    )
    store.write([wanted, *others, unsaid, early, late], said_of)
    query = Query(
        project=project, since=10, until=11, text="needle", feedback={"rating": '"good"'},
        sentiment="positive", **columns,
    )  # fmt: skip
    assert store.generations(query) == [wanted]


def test_several_types_of_feedback_are_wanted_at_once(store: Store) -> None:
    project = f"p-{new_id()}"
    both, one, none = (generation(project=project) for _ in range(3))
    store.write(
        [both, one, none],
        [
            feedback(both.id, project=project),
            feedback(both.id, "copied", type="action", project=project),
            feedback(both.id, "saved", type="action", project=project),
            feedback(one.id, project=project),
        ],
    )

    def found(**wanted: str | None) -> set[str]:
        return {row.id for row in store.generations(Query(project=project, feedback=wanted))}

    assert found(rating=None) == {both.id, one.id}
    assert found(rating='"good"', action='"saved"') == {both.id}
    assert found(rating='"good"', action=None) == {both.id}
    assert found(rating='"bad"') == set()


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6))
def test_any_text_is_found_where_it_stands(store: Store, text: str) -> None:
    project = f"p-{new_id()}"
    row = generation(project=project, output=to_json(["before", f"x{text}x"]))
    store.write([row], [])
    assert store.generations(Query(project=project, text=text)) == [row]


def test_a_signal_is_that_of_current_feedback(store: Store) -> None:
    project = f"p-{new_id()}"
    rated, copied, both = (generation(project=project, created_at=at) for at in (1, 2, 3))
    said = {"project": project, "signal": "implicit", "type": "action"}
    store.write(
        [rated, copied, both],
        [
            feedback(rated.id, "good", project=project),
            feedback(rated.id, "copied", **said, at=1),
            feedback(rated.id, "copied", **said, at=2, unset=True),
            feedback(copied.id, "copied", **said),
            feedback(both.id, "bad", project=project),
            feedback(both.id, "copied", **said),
        ],
    )
    explicit = store.generations(Query(project=project, signal="explicit"))
    assert [row.id for row in explicit] == [both.id, rated.id]
    implicit = store.generations(Query(project=project, signal="implicit"))
    assert [row.id for row in implicit] == [both.id, copied.id]
