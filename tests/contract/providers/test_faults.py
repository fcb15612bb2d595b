"""Whatever of ours goes wrong on the way of a call, the caller gets what the provider gave."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from calling import done, drained, opened
from kits import CHAT, Kit
from provider_server import Scene

import afterword
from afterword.capture import calls, records
from afterword.capture.providers import (
    anthropic,
    attempts,
    bodies,
    capture,
    clients,
    finding,
    folding,
    gathering,
    openai,
    prices,
    recordings,
    rollup,
    taps,
)

pytestmark = pytest.mark.anyio

MakeScene = Callable[..., Scene]
Connect = Callable[..., Any]

MODULES = (bodies, finding, folding, gathering, openai, prices, recordings, rollup, taps)
#: Who may have taken a function of these by its name.
IMPORTERS = (*MODULES, clients, calls, records)
#: What hands the provider's values on: there is nothing of ours in these that could be left out.
HANDS_ON = {"close", "aclose", "_self_followed"}
#: Functions from elsewhere that run on the way of a call.
TAKEN = (
    (calls, "prepare"),
    (calls, "begin"),
    (calls, "snapshot"),
    (calls, "_gather"),
    (records, "to_text"),
    (rollup, "_patch"),
)


class Mine(Exception):
    """A fault of ours."""


def functions() -> Iterator[tuple[Any, str]]:
    """Every function and method of ours on the way of a call, by its owner and name."""
    for module in MODULES:
        for name, member in vars(module).items():
            if getattr(member, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(member) and not getattr(member, "_is_protocol", False):
                for method, made in vars(member).items():
                    generated = method.startswith("__") and method != "__init__"
                    if inspect.isfunction(made) and not generated and method not in HANDS_ON:
                        yield member, method
            elif callable(member) and inspect.isfunction(inspect.unwrap(member)):
                yield module, name
    yield from TAKEN


def label(found: tuple[Any, str]) -> str:
    owner, name = found
    short = owner.__name__.rpartition(".")[2]
    if isinstance(owner, ModuleType):
        return f"{short}.{name}"
    return f"{owner.__module__.rpartition('.')[2]}.{short}.{name}"


FUNCTIONS = sorted({label(found): found for found in functions()}.items())


async def everything(kit: Kit, client: Any) -> list[Any]:
    """What each way to call gives."""
    seen: list[Any] = []
    resource = kit.resource(client)
    seen.append(await done(resource.create(**kit.request)))
    seen.append(await drained(await done(resource.create(**kit.request, stream=True))))
    async with opened(resource.stream(**kit.request)) as stream:
        seen.append([str(event) for event in await drained(stream)])
        seen.append((await done(getattr(stream, kit.final)())).model_dump())
    raw = await done(resource.with_raw_response.create(**kit.request))
    seen.append(await done(raw.parse()))
    streaming = resource.with_streaming_response.create
    async with opened(streaming(**kit.request, stream=True)) as response:
        seen.append(await drained(response.iter_lines()))
    async with opened(streaming(**kit.request, stream=True)) as response:
        seen.append(await drained(await done(response.parse())))
    async with opened(await done(resource.create(**kit.request, stream=True))) as stream:
        pass
    try:
        await done(resource.create(**kit.request))
    except Exception as error:
        seen.append((type(error), str(error)))
    return seen


def script(kit: Kit) -> list[Any]:
    events, reply = kit.text_stream("Yes", "."), kit.reply("Yes.")
    return [reply, events, events, reply, events, events, events, kit.failure(500, "no"), reply]


@pytest.fixture
def ours() -> Iterator[afterword.Client]:
    made = afterword.configure("memory:")
    yield made
    made.close()


@pytest.mark.parametrize("kit", [CHAT], indirect=True, ids=["openai"])
async def test_no_fault_of_ours_reaches_the_caller(
    kit: Kit,
    mode: str,
    scene: MakeScene,
    connect: Connect,
    ours: afterword.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = await everything(kit, connect(scene(*script(kit))))

    def fails(*args: Any, **kwargs: Any) -> Any:
        hit.append(1)
        raise Mine

    reached: set[str] = set()
    play = scene()
    client = capture(connect(play))

    @afterword.generation
    async def outer() -> Any:
        return await everything(kit, client)

    for name, (owner, function) in FUNCTIONS:
        if mode == "async" and not name.startswith("taps."):
            continue  # the rest is the same code for both
        hit: list[int] = []
        play.replies[:] = script(kit)
        before = ours.status().faults
        original = inspect.getattr_static(owner, function)
        with monkeypatch.context() as patched:
            for place in (owner, *IMPORTERS):
                if place.__dict__.get(function) is original:
                    patched.setattr(place, function, fails)
            got = await outer()
            afterword.flush(5)
        assert got == expected, name
        if hit:
            reached.add(name)
            assert ours.status().faults > before, name
    assert {"taps.tap", "taps._Body._self_leave", "taps._Pieces.__init__"} <= reached
    if mode == "sync":
        assert {"recordings.record", "openai.ChatFold.add", "rollup.roll_up"} <= reached
        assert len(reached) > 50


async def test_a_fold_that_fails_loses_the_message_and_not_the_record(
    kit: Kit,
    scene: MakeScene,
    connect: Connect,
    ours: afterword.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*args: Any) -> Any:
        raise Mine

    client = capture(connect(scene(kit.text_stream("Yes"))))
    fold = {"openai.chat.completions": openai.ChatFold, "openai.responses": openai.ResponseFold}
    monkeypatch.setattr(fold.get(kit.name, anthropic.MessageFold), "add", fails)
    await drained(await done(kit.resource(client).create(**kit.request, stream=True)))
    [found] = ours.generations().items
    assert found.status == "ok"
    assert found.output is None
    assert found.messages == kit.messages
    assert ours.status().faults > 0


async def test_a_price_list_that_cannot_be_read_is_no_matter(
    kit: Kit,
    scene: MakeScene,
    connect: Connect,
    ours: afterword.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*args: Any) -> Any:
        raise Mine

    monkeypatch.setattr(prices, "_price_list", fails)
    client = capture(connect(scene(kit.reply("Yes."))))
    await done(kit.resource(client).create(**kit.request))
    [found] = ours.generations().items
    assert found.cost_usd is None
    assert found.usage == afterword.Usage(kit.input_tokens, kit.output_tokens)
    assert ours.status().faults > 0


async def test_without_a_usable_store_calls_go_on(
    kit: Kit, scene: MakeScene, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable() -> Any:
        raise afterword.ConfigError("AFTERWORD_URL is nonsense")

    client = capture(connect(scene(kit.reply("Yes."))))
    expected = await done(kit.resource(connect(scene(kit.reply("Yes.")))).create(**kit.request))
    monkeypatch.setattr(calls, "default_client", unusable)
    monkeypatch.setattr(attempts, "default_client", unusable)
    assert await done(kit.resource(client).create(**kit.request)) == expected
