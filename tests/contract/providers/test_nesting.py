"""Captured calls inside decorated functions, standing alone, and many at once."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from calling import done, drained, following
from kits import Kit
from provider_server import Json, Scene

import afterword
from afterword.capture.providers import capture, prices
from afterword.model import Generation

pytestmark = pytest.mark.anyio

Records = Callable[[], list[Generation]]
MakeScene = Callable[..., Scene]
Connect = Callable[..., Any]


async def test_a_call_alone_is_a_generation_with_its_data_id_in_context(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream("Yes"))))
    with afterword.trail(user="user_1", session="s1") as trail:
        stream = await done(kit.resource(client).create(**kit.request, stream=True))
        data_id = afterword.last_data_id()
        assert data_id is not None
        await drained(stream)
    assert trail.data_ids == [data_id]
    afterword.feedback(data_id=data_id, type="rating", value="good")
    [found] = records()
    assert found.id == data_id
    assert (found.user, found.session) == ("user_1", "s1")
    assert [one.value for one in found.feedback] == ["good"]


async def test_calls_inside_a_decorated_function_are_children_and_roll_up(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.reply("One."), kit.text_stream("Two", "."))))
    last = {**kit.request, "model": f"{kit.model}-2026-01-01"}

    @afterword.generation
    async def inner() -> str:
        await drained(await done(kit.resource(client).create(**last, stream=True)))
        return "inner"

    @afterword.generation
    async def outer() -> str:
        await done(kit.resource(client).create(**kit.request))
        await inner()
        assert afterword.current_data_id() == afterword.last_data_id()
        return "outer"

    with afterword.trail() as trail:
        assert await outer() == "outer"
    top, first, middle, second = records()
    assert [one.name for one in (first, second)] == [kit.name] * 2
    assert trail.data_ids == [top.id]
    assert first.parent_id == middle.parent_id == top.id
    assert second.parent_id == middle.id
    assert {one.root_id for one in (top, first, middle, second)} == {top.id}
    assert top.usage is not None
    assert top.usage.input_tokens == 2 * kit.input_tokens
    assert top.usage.output_tokens == 2 * kit.output_tokens
    assert top.model == last["model"]
    assert top.provider == kit.provider
    assert middle.usage is None
    assert top.messages is None
    assert second.output == kit.message("Two.")


async def test_costs_come_from_the_price_list_and_roll_up(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    import genai_prices

    client = capture(connect(scene(kit.reply("One."), kit.reply("Two."))))

    @afterword.generation
    async def outer() -> None:
        for _ in range(2):
            await done(kit.resource(client).create(**kit.request))

    await outer()
    top, first, second = records()
    cached = {"cache_read_tokens": 12}
    if kit.provider == "anthropic":
        cached = {"cache_read_tokens": 10, "cache_write_tokens": 6}
    usage = genai_prices.Usage(
        input_tokens=kit.input_tokens, output_tokens=kit.output_tokens, **cached
    )
    price = genai_prices.calc_price(usage, kit.model, provider_id=kit.provider).total_price
    assert first.cost_usd == second.cost_usd == float(price) > 0
    assert top.cost_usd == pytest.approx(2 * float(price))


async def test_the_cost_of_a_model_that_no_list_knows_is_null(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    unknown = json.loads(json.dumps(kit.text_reply("Yes.")).replace(kit.model, "made-at-home"))
    client = capture(connect(scene(kit.reply("One."), Json(unknown))))

    @afterword.generation
    async def outer() -> None:
        await done(kit.resource(client).create(**kit.request))
        await done(kit.resource(client).create(**{**kit.request, "model": "made-at-home"}))

    await outer()
    top, known, other = records()
    assert known.cost_usd is not None
    assert other.cost_usd is None
    assert top.cost_usd is None
    assert top.model == "made-at-home"
    assert top.usage is not None
    assert top.usage.input_tokens == 2 * kit.input_tokens


async def test_without_the_price_list_costs_are_null(
    kit: Kit,
    scene: MakeScene,
    connect: Connect,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prices, "_price_list", lambda: None)
    client = capture(connect(scene(kit.reply("One."))))
    await done(kit.resource(client).create(**kit.request))
    [found] = records()
    assert found.cost_usd is None
    assert found.usage is not None


async def test_what_the_users_code_says_itself_is_not_rolled_over(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.reply("One."))))

    @afterword.generation(model="mine")
    async def decorated() -> None:
        await done(kit.resource(client).create(**kit.request))

    @afterword.generation
    async def annotated() -> None:
        await done(kit.resource(client).create(**kit.request))
        afterword.annotate(usage={"input_tokens": 1, "output_tokens": 2}, model="mine")
        await done(kit.resource(client).create(**kit.request))

    await decorated()
    await annotated()
    tops = [one for one in records() if one.parent_id is None]
    assert [one.model for one in tops] == ["mine", "mine"]
    assert [one.usage and one.usage.input_tokens for one in tops] == [kit.input_tokens, 1]


async def test_a_failed_call_inside_is_a_child_and_the_error_goes_on(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.failure(500, "no"), kit.reply("Yes."))))

    @afterword.generation
    async def outer() -> str:
        try:
            await done(kit.resource(client).create(**kit.request))
        except Exception as error:
            assert "no" in str(error)
        await done(kit.resource(client).create(**kit.request))
        return "fine"

    await outer()
    top, failed, good = records()
    assert [one.status for one in (top, failed, good)] == ["ok", "error", "ok"]
    assert top.usage is not None
    assert top.usage.input_tokens == kit.input_tokens


async def test_a_stream_read_after_its_function_returned_still_rolls_up(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream("Yes"))))

    @afterword.generation
    async def outer() -> tuple[Any]:
        # Hidden in a tuple, so that it comes back as it is.
        return (await done(kit.resource(client).create(**kit.request, stream=True)),)

    [stream] = await outer()
    await drained(stream)
    top, child = records()
    assert child.parent_id == top.id
    assert child.output == kit.message("Yes")
    assert top.usage is not None
    assert top.usage.output_tokens == kit.output_tokens
    assert top.model == kit.model


async def test_a_decorated_function_that_returns_the_stream_stores_its_message(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream("Yes", "."))))

    @afterword.generation
    def outer() -> Any:
        return kit.resource(client).create(**kit.request, stream=True)

    stream = await done(outer())
    assert isinstance(stream, kit.stream_class[mode == "async"])
    assert stream.response.status_code == 200
    data_id = stream.data_id
    await drained(stream)
    top, child = records()
    assert top.id == data_id == child.parent_id
    assert top.output == child.output == kit.message("Yes.")
    assert top.usage == child.usage


@pytest.mark.parametrize("as_dicts", [False, True])
async def test_provider_chunks_of_a_decorated_generator_are_stored_as_their_message(
    as_dicts: bool, kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    pieces = [f"{number} " for number in range(3000)]
    client = connect(scene(kit.text_stream(*pieces)))  # not captured

    def shown(chunk: Any) -> Any:
        return chunk.model_dump() if as_dicts else chunk

    @afterword.generation
    def answer() -> Iterator[Any]:
        for chunk in kit.resource(client).create(**kit.request, stream=True):
            yield shown(chunk)

    @afterword.generation
    async def answer_async() -> AsyncIterator[Any]:
        async for chunk in await kit.resource(client).create(**kit.request, stream=True):
            yield shown(chunk)

    await drained(answer() if mode == "sync" else answer_async())
    [found] = records()
    assert found.output == kit.message("".join(pieces))
    assert found.metadata is None or "truncated" not in found.metadata


@pytest.mark.parametrize("mode", ["sync"], indirect=True)
async def test_a_decorated_generator_of_several_messages_stores_them_and_what_stood_between(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    changed = kit.text_events(["Two", "."])
    other = json.loads(json.dumps(changed).replace("chatcmpl-1", "chatcmpl-2"))
    events = kit.text_stream("One", ".")
    play = scene(events, type(events)([(name, data) for name, data in other]), events)
    client = connect(play)

    @afterword.generation
    def answer() -> Iterator[Any]:
        for number in range(3):
            yield from kit.resource(client).create(**kit.request, stream=True)
            if number == 1:
                yield {"note": "and then"}

    list(answer())
    [found] = records()
    one, two = kit.message("One."), kit.message("Two.")
    assert found.output == [one, two, {"note": "and then"}, one]


@pytest.mark.parametrize("mode", ["async"], indirect=True)
async def test_many_calls_at_once_do_not_mix(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    def answer(body: dict[str, Any]) -> Any:
        number = json.dumps(body).split("question ")[1].split('"')[0]
        return kit.text_stream("answer ", number)

    client = capture(connect(scene(answer)))
    field = "input" if "input" in kit.request else "messages"

    @afterword.generation
    async def ask(number: int) -> str:
        said: Any = f"question {number}"
        if field == "messages":
            said = [{"role": "user", "content": said}]
        request = {**kit.request, field: said}
        stream = await kit.resource(client).create(**request, stream=True)
        async for _ in stream:
            await asyncio.sleep(0)
        return f"returned {number}"

    async def request(number: int) -> None:
        with afterword.trail(user=f"user {number}"):
            await ask(number)

    await asyncio.gather(*[request(number) for number in range(40)])
    found = records()
    tops = {one.id: one for one in found if one.parent_id is None}
    children = [one for one in found if one.parent_id is not None]
    assert len(tops) == len(children) == 40
    for child in children:
        assert child.parent_id is not None
        top = tops.pop(child.parent_id)
        number = top.inputs["number"]
        assert child.output == kit.message(f"answer {number}")
        assert f"question {number}" in json.dumps(child.messages)
        assert top.usage == child.usage
        assert top.user == child.user == f"user {number}"


@pytest.mark.parametrize("mode", ["sync"], indirect=True)
async def test_a_stream_collected_within_another_request_ends_as_its_own(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.cut_stream("One", then="silence"), kit.reply("Two."))))

    def left() -> None:
        with afterword.trail(user="first"):
            stream = kit.resource(client).create(**kit.request, stream=True)
            while "One" not in str(next(stream)):
                pass

    @afterword.generation
    def other() -> None:
        gc.collect()
        kit.resource(client).create(**kit.request)

    gc.disable()
    try:
        left()
        with afterword.trail(user="second"):
            other()
    finally:
        gc.enable()
    first, top, second = records()
    assert (first.status, first.user, first.parent_id) == ("abandoned", "first", None)
    assert (second.user, second.parent_id) == ("second", top.id)
    assert top.usage == second.usage


async def test_a_snapshot_of_the_request_is_taken_when_it_is_made(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream("Yes", "."))))
    request = json.loads(json.dumps(kit.request))
    stream = await done(kit.resource(client).create(**request, stream=True))
    await following(stream)
    for value in request.values():
        if isinstance(value, list):
            value.clear()
    await drained(stream)
    [found] = records()
    assert found.messages == kit.messages
