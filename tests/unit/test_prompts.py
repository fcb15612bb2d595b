"""Versions of prompts: their IDs, their rendering, what is deployed, how two differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import afterword
from afterword import Client, InvalidInput
from afterword.prompts import PromptShelf, difference, make_version
from afterword.stores import open_store


@pytest.fixture
def shelf() -> Iterator[PromptShelf]:
    store = open_store("memory:")
    yield PromptShelf(store)
    store.close()


def version(**fields: Any) -> Any:
    return make_version(**{"model": "gpt-4o", "template": "Q {{question}}", **fields})


def test_the_same_content_is_the_same_version_whatever_it_is_called() -> None:
    one = version(parameters={"temperature": 0.2, "top_p": 1}, name="first")
    other = version(parameters={"top_p": 1, "temperature": 0.2, "stop": None}, name="second")
    assert one.id == other.id
    assert one.id.startswith("config_")


@pytest.mark.parametrize(
    "change",
    [
        {"model": "gpt-4"}, {"provider": "groq"}, {"template": "Q  {{question}}"}, {"endpoint": "chat"},
        {"parameters": {"temperature": 1}}, {"tools": [{"name": "look"}]}, {"template": None},
        {"template": [{"role": "user", "content": "Q {{question}}"}]},
    ],
)  # fmt: skip
def test_other_content_is_another_version(change: dict[str, Any]) -> None:
    assert version(**change).id != version().id


def test_text_goes_in_as_it_is_and_anything_else_as_json() -> None:
    made = version(template="{{ a }}|{{b}}|{{c}}|{{d}}|{{a}}|{{ not a name! }}")
    assert made.variables == ["a", "b", "c", "d"]
    inputs = {"a": "ä", "b": ["x", 1], "c": None, "d": True, "unused": 1}
    assert made.render(inputs) == 'ä|["x", 1]||true|ä|{{ not a name! }}'


@given(st.text())
def test_what_an_input_brings_is_not_looked_through_again(text: str) -> None:
    assert (
        version(template="<{{a}}{{b}}>").render({"a": text, "b": "{{a}}"}) == f"<{text}{{{{a}}}}>"
    )


def test_messages_are_filled_without_touching_the_template() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/{{a}}"}}
    template = [
        {"role": "system", "content": "Be {{a}}"},
        {"role": "user", "content": [{"type": "text", "text": "{{b}}"}, image]},
        {"role": "assistant", "content": None},
    ]
    made = version(template=template)
    assert made.render({"a": "kind", "b": "Hi"}) == [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, image]},
        {"role": "assistant"},
    ]
    assert made.variables == ["a", "b"]


def test_missing_inputs_are_named_all_at_once() -> None:
    with pytest.raises(InvalidInput, match="a, b"):
        version(template="{{a}}{{b}}{{c}}").render({"c": 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", None), ("model", ""), ("model", 7), ("provider", 7), ("name", 7), ("template", 7),
        ("template", [{"content": "x"}]), ("parameters", {"warmth": 1}),
    ],
)  # fmt: skip
def test_a_field_that_is_not_usable_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        version(**{field: value})
    assert caught.value.field == field


def test_the_first_version_is_deployed_and_later_ones_wait(shelf: PromptShelf) -> None:
    first = shelf.register("bot", version(), deploy_first=True)
    second = shelf.register("bot", version(model="gpt-4"), deploy_first=True)
    assert shelf.deployed("bot") == first
    shelf.deploy("bot", second.id)
    shelf.deploy("bot", first.id, "staging")
    assert shelf.deployments("bot") == {"production": second.id, "staging": first.id}
    assert shelf.deployed("other") is None
    assert shelf.withdraw("bot")
    assert shelf.deployed("bot") is None
    assert shelf.deployed("bot", "staging") == first


def test_registering_again_keeps_the_first(shelf: PromptShelf) -> None:
    first = shelf.register("bot", version(name="first"))
    assert shelf.register("bot", version(name="second")) == first
    assert shelf.versions("bot") == [first]
    assert shelf.home_of(first.id) == "bot"
    assert shelf.projects() == ["bot"]


def test_what_a_project_does_not_have_cannot_be_deployed(shelf: PromptShelf) -> None:
    with pytest.raises(InvalidInput, match="no version"):
        shelf.deploy("bot", "config_0")
    kept = shelf.register("bot", version())
    with pytest.raises(InvalidInput, match="environment"):
        shelf.deploy("bot", kept.id, "")


def test_a_difference_shows_what_changed_and_nothing_for_equals() -> None:
    lines = difference(
        version(parameters={"temperature": 0}), version(template="Question {{question}}")
    )
    assert {"-temperature: 0", "-Q {{question}}", "+Question {{question}}"} <= set(lines)
    assert difference(version(), version()) == []


def test_rendering_inside_a_generation_notes_the_version() -> None:
    client = Client("memory:", "bot")
    shelf = PromptShelf(client.store)
    kept = shelf.register("support", version(), deploy_first=True)

    @afterword.generation(client=client)
    def answer(question: str) -> str:
        prompt = afterword.prompt("support", client=client)
        assert prompt.version == kept.id
        return str(prompt.render({"question": question}))

    logged = answer.logged("How?")
    assert logged.value == "Q How?"
    generation = client.get(logged.data_id)
    assert generation is not None
    assert generation.version == kept.id
    assert (
        afterword.prompt("support", version=kept.id, client=client).render({"question": 1}) == "Q 1"
    )
    with pytest.raises(InvalidInput, match="staging"):
        afterword.prompt("support", environment="staging", client=client)
    client.close()
