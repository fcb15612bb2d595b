"""What `capture` gives back, and what it leaves alone."""

from __future__ import annotations

import copy
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from calling import done, drained, opened
from kits import KITS, Kit
from provider_server import Json, Scene

import afterword
from afterword.capture.providers.finding import providers
from afterword.model import Generation

pytestmark = pytest.mark.anyio

Records = Callable[[], list[Generation]]
MakeScene = Callable[..., Scene]
Connect = Callable[..., Any]


def test_every_provider_is_under_this_contract() -> None:
    assert set(providers()) == {kit.provider for kit in KITS}


async def test_a_captured_client_is_of_the_same_class_with_the_same_attributes(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    bare = connect(scene(kit.reply("Yes.")), max_retries=1)
    client = afterword.capture(bare)
    assert type(client) is kit.classes[mode == "async"]
    assert client is not bare
    for name in ("api_key", "base_url", "max_retries", "timeout"):
        assert str(getattr(client, name)) == str(getattr(bare, name))
    assert dir(client) == dir(bare)
    for name in ("request", "copy", "with_options"):
        ours, theirs = getattr(client, name), getattr(bare, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
        assert ours.__doc__ == theirs.__doc__
        assert ours.__qualname__ == theirs.__qualname__
    create = kit.resource(client).create
    assert inspect.signature(create) == inspect.signature(kit.resource(bare).create)
    assert type(kit.resource(client)) is type(kit.resource(bare))


async def test_neither_the_client_given_nor_its_class_is_changed(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.reply("Yes."))
    bare, other = connect(play), connect(play)
    resource = kit.resource(bare)  # made, and cached in the client, before
    before = dict(vars(bare))
    members = {name: inspect.getattr_static(type(bare), name) for name in dir(type(bare))}
    client = afterword.capture(bare)
    await done(kit.resource(client).create(**kit.request))
    assert vars(bare) == before
    assert kit.resource(bare) is resource
    for name, member in members.items():
        assert inspect.getattr_static(type(bare), name) is member
    for untouched in (bare, other):
        await done(kit.resource(untouched).create(**kit.request))
    assert len(records()) == 1


async def test_a_client_captured_twice_records_once(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    bare = connect(scene(kit.reply("Yes.")))
    client = afterword.capture(afterword.capture(bare))
    again = afterword.capture(client)
    assert again is client
    await done(kit.resource(again).create(**kit.request))
    assert len(records()) == 1


@pytest.mark.parametrize("way", ["copy", "with_options", "copy.copy", "twice"])
async def test_clients_made_of_a_captured_one_are_captured(
    way: str, kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play, moved = scene(kit.failure(500, "no"), kit.reply("Yes.")), scene(kit.reply("Moved."))
    client = afterword.capture(connect(play))
    base_url = moved.base_url + kit.prefix
    if way == "copy.copy":
        made = copy.copy(client)
    elif way == "twice":
        made = client.with_options(base_url=base_url).with_options(max_retries=0)
    else:
        made = getattr(client, way)(max_retries=3, base_url=base_url)
    assert type(made) is kit.classes[mode == "async"]
    if way == "copy.copy":
        with pytest.raises(Exception, match="no"):
            await done(kit.resource(made).create(**kit.request))
    else:
        await done(kit.resource(made).create(**kit.request))
        assert len(moved.sent) == 1
    await done(kit.resource(client.with_options(max_retries=2)).create(**kit.request))
    first, second = records()
    assert first.metadata is not None
    assert (
        first.metadata["base_url"] == (play if way == "copy.copy" else moved).base_url + kit.prefix
    )
    assert second.status == "ok"


async def test_a_captured_client_closes_as_before(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = afterword.capture(connect(scene(kit.reply("Yes."))))
    async with opened(client) as entered:
        assert entered is client
        await done(kit.resource(entered).create(**kit.request))
    assert client.is_closed()
    assert len(records()) == 1


async def test_what_is_no_model_call_is_not_recorded(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(Json({"input_tokens": 3, "object": "list", "data": []}))
    client = afterword.capture(connect(play))
    if kit.provider == "openai":
        await done(client.moderations.create(input="x"))
    else:
        counted = {"model": kit.model, "messages": kit.request["messages"]}
        await done(client.messages.count_tokens(**counted))
    assert play.sent
    assert records() == []


async def test_requests_by_hand_to_a_models_path_are_recorded(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.reply("Yes."))
    client = afterword.capture(connect(play))
    await done(kit.resource(client).create(**kit.request))
    path = "/" + play.sent[0].path.removeprefix(kit.prefix.strip("/")).strip("/")
    got = await done(client.post(path, cast_to=object, body=play.sent[0].body))
    assert got == kit.text_reply("Yes.")
    first, second = records()
    assert (first.output, first.usage, first.messages) == (
        second.output,
        second.usage,
        second.messages,
    )


async def test_while_disabled_the_client_itself_comes_back(
    kit: Kit, scene: MakeScene, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERWORD_DISABLED", "1")
    bare = connect(scene(kit.reply("Yes.")))
    assert afterword.capture(bare) is bare


@pytest.mark.parametrize("thing", [None, 3, "openai", object(), KITS[0].classes[0], afterword])
def test_anything_else_is_refused_and_what_is_taken_is_named(thing: object) -> None:
    with pytest.raises(afterword.ConfigError) as refused:
        afterword.capture(thing)
    for kit in KITS:
        for kind in kit.classes:
            assert f"{kind.__name__}" in str(refused.value)
        assert kit.provider in str(refused.value)


def test_a_provider_s_object_that_is_no_client_is_refused(kit: Kit) -> None:
    with pytest.raises(afterword.ConfigError, match="takes a client"):
        afterword.capture(kit.resource(kit.client("http://127.0.0.1:9", "sync")))


def test_no_provider_is_imported_until_its_client_is_there() -> None:
    script = """
import sys
import afterword

@afterword.generation
def answer():
    yield {"type": "message_start"}
    yield {"any": "thing"}

afterword.configure("memory:")
list(answer())
assert afterword.flush(5)
try:
    afterword.capture(3)
except afterword.ConfigError:
    pass
assert not {"openai", "anthropic", "genai_prices"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_the_function_has_the_name_of_its_package_and_both_work() -> None:
    import pickle

    from afterword import capture
    from afterword.capture.calls import prepare

    assert capture is afterword.capture
    assert callable(afterword.capture)
    assert prepare.__module__ == "afterword.capture.calls"
    assert pickle.loads(pickle.dumps(capture)) is capture


async def test_a_client_whose_resources_were_made_at_once_is_captured(
    scene: MakeScene, records: Records
) -> None:
    from openai import OpenAI
    from openai.resources.chat import Chat

    class Eager(OpenAI):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.chat = Chat(self)

    kit = KITS[0]
    play = scene(kit.text_stream("Yes"))
    with Eager(api_key="k", base_url=play.base_url + kit.prefix) as bare:
        client = afterword.capture(bare)
        await drained(client.chat.completions.create(**kit.request, stream=True))
        list(bare.chat.completions.create(**kit.request, stream=True))
    [found] = records()
    assert found.output == kit.message("Yes")
