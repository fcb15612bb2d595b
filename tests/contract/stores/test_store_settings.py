"""The small things a store keeps: aliases, feedback types, projects, settings; and its life."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from store_rows import feedback, generation

from afterword.feedback.types import declare
from afterword.ids import new_id
from afterword.stores import Store, open_store
from afterword.stores.protocol import Query


def test_an_alias_belongs_to_its_project_and_the_last_one_counts(store: Store) -> None:
    name = f"message {new_id()}"
    assert store.resolve(name) is None
    store.put_alias("p", name, "one")
    store.put_alias("q", name, "two")
    assert (store.resolve(name, "p"), store.resolve(name, "q")) == ("one", "two")
    assert store.resolve(name) in ("one", "two")
    assert store.resolve(name, "r") is None
    store.put_alias("p", name, "three")
    assert store.resolve(name, "p") == "three"


def test_feedback_types_belong_to_their_project_and_the_last_one_counts(
    empty_store: Store,
) -> None:
    stars = declare("stars", "number", minimum=1, maximum=5, step=0.5)
    mood = declare("mood", "select", {"glad": "+", "sad": "-", "so-so": None}, signal="implicit")
    assert empty_store.feedback_types("p") == {}
    empty_store.put_feedback_type("p", stars)
    empty_store.put_feedback_type("p", mood)
    empty_store.put_feedback_type("q", stars)
    assert empty_store.feedback_types("p") == {"mood": mood, "stars": stars}
    ten = declare("stars", "number", maximum=10)
    empty_store.put_feedback_type("p", ten)
    assert empty_store.feedback_types("p")["stars"] == ten
    assert empty_store.feedback_types("q") == {"stars": stars}


def test_projects_are_those_that_have_anything_in_order(empty_store: Store) -> None:
    assert empty_store.projects() == []
    empty_store.write([generation(project="zoo"), generation(project="art")], [])
    empty_store.write([generation(project="zoo")], [feedback(new_id(), project="music")])
    empty_store.put_feedback_type("lab", declare("note", "text"))
    assert empty_store.projects() == ["art", "lab", "music", "zoo"]


def test_a_setting_is_made_once_and_everybody_gets_the_same(empty_store: Store) -> None:
    together = threading.Barrier(8)

    def ask(number: int) -> str:
        together.wait()
        return empty_store.setting("secret", lambda: f"made by {number}")

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(ask, range(8)))
    assert len(answers) == 1
    assert empty_store.setting("secret", lambda: "never") in answers
    assert empty_store.setting("another", lambda: "other") == "other"


def test_many_threads_write_and_read_at_once(empty_store: Store) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        for _ in range(10):
            row = generation(project=f"p{number}")
            empty_store.write([row], [feedback(row.id, project=row.project)])
            assert empty_store.generation(row.id) == row
            assert len(empty_store.history([row.id])) == 1
            assert row in empty_store.generations(Query(project=row.project, limit=20))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(empty_store.generations(Query(limit=500))) == 80


def test_a_store_knows_its_url_and_opens_by_it(empty_store: Store) -> None:
    empty_store.open()
    again = open_store(empty_store.url)
    assert again.url == empty_store.url
    again.open()
    again.close()


def test_closing_twice_is_as_good_as_once(empty_store: Store) -> None:
    empty_store.write([generation()], [])
    empty_store.close()
    empty_store.close()


@pytest.mark.parametrize("limit", [1, 500])
def test_a_listing_of_an_empty_store_is_empty(empty_store: Store, limit: int) -> None:
    assert empty_store.generations(Query(limit=limit)) == []


def test_documents_are_kept_by_kind_project_and_name(empty_store: Store) -> None:
    store = empty_store
    assert store.document("note", "a", "one") is None
    assert store.put_document("note", "b", "two", '{"n": 2}') == '{"n": 2}'
    assert store.put_document("note", "a", "one", '"first"') == '"first"'
    assert store.put_document("note", "a", "one", '"second"', replace=False) == '"first"'
    assert store.put_document("other", "a", "one", "1") == "1"
    assert store.documents("note") == [("a", "one", '"first"'), ("b", "two", '{"n": 2}')]
    assert store.put_document("note", "a", "one", '"third"') == '"third"'
    assert store.documents("note", "a") == [("a", "one", '"third"')]
    assert store.drop_document("note", "a", "one")
    assert not store.drop_document("note", "a", "one")
    assert store.document("note", "a", "one") is None
    assert store.document("other", "a", "one") == "1"


def test_a_store_tells_the_version_of_its_schema(empty_store: Store) -> None:
    facts = empty_store.facts()
    assert int(facts["schema"]) >= 1
    assert all(isinstance(value, str) and value for value in facts.values())
