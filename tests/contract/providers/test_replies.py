"""A captured client gives what the bare one gives, and the record says what was said."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from calling import done, drained, each, following, opened
from kits import Kit
from provider_server import Events, Json, Scene

from afterword.capture.providers import capture
from afterword.model import Generation

pytestmark = pytest.mark.anyio

Records = Callable[[], list[Generation]]
MakeScene = Callable[..., Scene]
Connect = Callable[..., Any]
TEXT = "Look past it. Ω"
PIECES = ("Look", " past", " it.", " Ω")


def assert_recorded(
    kit: Kit, found: Generation, message: Any, reason: str, *, streamed: bool, extra: Any = None
) -> None:
    assert found.name == kit.name
    assert found.provider == kit.provider
    assert found.model == kit.model
    assert found.status == "ok"
    assert found.error is None
    assert found.parent_id is None
    assert found.root_id == found.id
    assert found.messages == kit.messages
    parameters = dict(found.inputs)
    parameters.pop("stream", None)
    assert parameters == {**kit.parameters, **(extra or {})}
    assert found.output == message
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens) == (
        kit.input_tokens,
        kit.output_tokens,
    )
    assert found.metadata is not None
    assert found.metadata["finish_reason"] == reason
    assert found.duration_ms is not None
    assert (found.first_token_ms is not None) is streamed
    if found.first_token_ms is not None:
        assert 0 < found.first_token_ms <= found.duration_ms


async def test_a_reply_is_that_of_the_bare_client_and_is_recorded(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.reply(TEXT))
    bare = connect(play)
    expected = await done(kit.resource(bare).create(**kit.request))
    got = await done(kit.resource(capture(bare)).create(**kit.request))
    assert got == expected
    assert type(got) is type(expected)
    [found] = records()
    assert_recorded(kit, found, kit.message(TEXT), kit.finish_reason, streamed=False)


async def test_a_request_is_that_of_the_bare_client(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.text_stream(*PIECES))
    bare = connect(play)
    for client in (bare, capture(bare)):
        await drained(await done(kit.resource(client).create(**kit.request, stream=True)))
        async with opened(kit.resource(client).stream(**kit.request)) as stream:
            await drained(stream)
    plain, helped, captured_plain, captured_helped = play.sent
    changing = ("x-stainless-read-timeout", "idempotency-key", "traceparent")
    for before, after in ((plain, captured_plain), (helped, captured_helped)):
        assert after.body == before.body
        assert after.path == before.path
        assert {name: value for name, value in after.headers.items() if name not in changing} == {
            name: value for name, value in before.headers.items() if name not in changing
        }
    assert len(records()) == 2


async def test_a_stream_gives_the_same_chunks_and_keeps_its_class(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.text_stream(*PIECES))
    bare = connect(play)
    expected = await drained(await done(kit.resource(bare).create(**kit.request, stream=True)))
    stream = await done(kit.resource(capture(bare)).create(**kit.request, stream=True))
    assert type(stream) is kit.stream_class[mode == "async"]
    assert stream.response.status_code == 200
    assert stream.response.request.method == "POST"
    assert await drained(stream) == expected
    assert stream.response.is_closed
    [found] = records()
    assert_recorded(kit, found, kit.message(TEXT), kit.finish_reason, streamed=True)


async def test_a_stream_can_be_drawn_from_by_next_and_held_by_with(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream(*PIECES))))
    async with opened(
        await done(kit.resource(client).create(**kit.request, stream=True))
    ) as stream:
        assert type(stream) is kit.stream_class[mode == "async"]
        first = await following(stream)
        rest = await drained(stream)
        assert rest
        assert first not in rest
    [found] = records()
    assert_recorded(kit, found, kit.message(TEXT), kit.finish_reason, streamed=True)


async def test_a_stream_helper_gives_the_same_events_and_the_same_whole(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.text_stream(*PIECES))
    bare = connect(play)
    seen: list[Any] = []
    for client in (bare, capture(bare)):
        async with opened(kit.resource(client).stream(**kit.request)) as stream:
            events = [(type(event), str(event)) async for event in each(stream)]
            whole = await done(getattr(stream, kit.final)())
            seen.append((type(stream), events, type(whole), whole.model_dump()))
    assert seen[0] == seen[1]
    [found] = records()
    assert_recorded(kit, found, kit.message(TEXT), kit.finish_reason, streamed=True)


async def test_a_stream_helper_is_drained_by_asking_for_the_whole(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream(*PIECES))))
    async with opened(kit.resource(client).stream(**kit.request)) as stream:
        await done(getattr(stream, kit.final)())
    [found] = records()
    assert_recorded(kit, found, kit.message(TEXT), kit.finish_reason, streamed=True)


async def test_a_tool_call_is_recorded_the_same_streamed_and_not(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    tool_reply, tool_events = Json(kit.tool_reply), Events(kit.tool_events)
    play = scene(tool_reply, tool_reply, tool_events, tool_events)
    bare = connect(play)
    client = capture(bare)
    request = {**kit.request, **kit.tools}
    expected = await done(kit.resource(bare).create(**request))
    assert await done(kit.resource(client).create(**request)) == expected
    await drained(await done(kit.resource(client).create(**request, stream=True)))
    async with opened(kit.resource(client).stream(**request)) as stream:
        whole = await done(getattr(stream, kit.final)())
    assert whole.id == expected.id
    for found, streamed in zip(records(), (False, True, True), strict=True):
        assert_recorded(
            kit,
            found,
            kit.tool_message,
            kit.tool_finish_reason,
            streamed=streamed,
            extra=kit.tools,
        )


async def test_a_raw_response_is_recorded_and_parses_as_before(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.reply(TEXT))
    bare = connect(play)
    seen: list[Any] = []
    for client in (bare, capture(bare)):
        raw = await done(kit.resource(client).with_raw_response.create(**kit.request))
        parsed = await done(raw.parse())
        seen.append((type(raw), raw.headers["content-type"], raw.status_code, parsed))
        assert await done(raw.parse()) is parsed
    assert seen[0] == seen[1]
    [found] = records()
    assert_recorded(kit, found, kit.message(TEXT), kit.finish_reason, streamed=False)


async def test_a_raw_response_of_a_stream_is_recorded_once_it_is_parsed_and_read(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.text_stream(*PIECES))
    bare = connect(play)
    seen: list[Any] = []
    for client in (bare, capture(bare)):
        create = kit.resource(client).with_raw_response.create
        raw = await done(create(**kit.request, stream=True))
        stream = await done(raw.parse())
        assert type(stream) is kit.stream_class[mode == "async"]
        seen.append(await drained(stream))
    assert seen[0] == seen[1]
    [found] = records()
    assert_recorded(kit, found, kit.message(TEXT), kit.finish_reason, streamed=True)


async def test_a_streaming_response_is_recorded_however_it_is_read(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, records: Records
) -> None:
    events, reply = kit.text_stream(*PIECES), kit.reply(TEXT)
    play = scene(events, events, events, reply, reply)
    bare = connect(play)
    captured_create = kit.resource(capture(bare)).with_streaming_response.create
    lines: list[Any] = []
    for create in (kit.resource(bare).with_streaming_response.create, captured_create):
        async with opened(create(**kit.request, stream=True)) as response:
            lines.append([line async for line in each(response.iter_lines())])
    assert lines[0] == lines[1]
    async with opened(captured_create(**kit.request, stream=True)) as response:
        await drained(await done(response.parse()))
    async with opened(captured_create(**kit.request)) as response:
        await done(response.parse())
    async with opened(captured_create(**kit.request)) as response:
        await done(response.read())
    found = records()
    for one, streamed in zip(found, (True, True, False, False), strict=True):
        assert_recorded(kit, one, kit.message(TEXT), kit.finish_reason, streamed=streamed)


async def test_streams_and_responses_copy_and_pickle_as_those_of_the_bare_client(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    def outcome(act: Callable[[Any], Any], thing: Any) -> Any:
        try:
            return type(act(thing))
        except Exception as error:
            return type(error)

    play = scene(kit.text_stream(*PIECES), kit.text_stream(*PIECES), kit.reply(TEXT))
    bare = connect(play)
    seen: list[Any] = []
    for client in (bare, capture(bare)):
        play.replies[:] = [kit.text_stream(*PIECES), kit.reply(TEXT)]
        stream = await done(kit.resource(client).create(**kit.request, stream=True))
        twin = copy.copy(stream)
        begun = outcome(pickle.dumps, stream.response)
        texts = len(await drained(twin))
        raw = await done(kit.resource(client).with_raw_response.create(**kit.request))
        read = pickle.loads(pickle.dumps(raw.http_response)).content
        seen.append((type(twin), begun, outcome(pickle.dumps, stream.response), texts, read))
    assert seen[0] == seen[1]
    assert [one.status for one in records()] == ["ok", "ok"]
