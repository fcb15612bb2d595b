"""However a call ends, the caller sees what it sees without us, and one record says how."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calling import done, drained, each, following, opened
from kits import KITS, Kit
from provider_server import Scene

from afterword import Client
from afterword.capture.providers import capture
from afterword.model import Generation

pytestmark = pytest.mark.anyio

Records = Callable[[], list[Generation]]
MakeScene = Callable[..., Scene]
Connect = Callable[..., Any]


async def test_an_error_of_the_provider_passes_unchanged_and_is_recorded(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    raised: list[BaseException] = []

    def note(response: Any) -> None:
        raised.append(response)

    play = scene(kit.failure(500, "overloaded today"))
    bare = connect(play)
    with pytest.raises(Exception) as expected:
        await done(kit.resource(bare).create(**kit.request))
    client = capture(bare)
    make_error = client._make_status_error_from_response

    def remembered(response: Any) -> Any:
        raised.append(make_error(response))
        return raised[-1]

    client._make_status_error_from_response = remembered
    with pytest.raises(Exception) as got:
        await done(kit.resource(client).create(**kit.request))
    assert got.value is raised[-1]
    assert type(got.value) is type(expected.value)
    assert got.value.__cause__ is None
    assert str(got.value) == str(expected.value)
    [found] = records()
    assert found.status == "error"
    assert found.error is not None
    assert found.error.type == f"{type(got.value).__module__}.{type(got.value).__qualname__}"
    assert "overloaded today" in found.error.message
    assert found.messages == kit.messages
    assert found.model == kit.model
    assert found.provider == kit.provider
    assert found.output is None
    assert found.usage is None


@pytest.mark.parametrize("streamed", [False, True])
async def test_retries_within_the_sdk_are_one_generation(
    kit: Kit, streamed: bool, scene: MakeScene, connect: Connect, records: Records
) -> None:
    good = kit.text_stream("Yes", ".") if streamed else kit.reply("Yes.")
    play = scene(kit.failure(429, "slow down"), kit.failure(500, "oh no"), good)
    client = capture(connect(play, max_retries=2))
    extra = {"stream": True} if streamed else {}
    result = await done(kit.resource(client).create(**kit.request, **extra))
    if streamed:
        await drained(result)
    assert len(play.sent) == 3
    [found] = records()
    assert found.status == "ok"
    assert found.output == kit.message("Yes.")


async def test_retries_that_do_not_help_are_one_generation_too(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.failure(429, "slow down"))
    client = capture(connect(play, max_retries=1))
    with pytest.raises(Exception, match="slow down"):
        await done(kit.resource(client).create(**kit.request))
    assert len(play.sent) == 2
    [found] = records()
    assert found.status == "error"


async def test_a_refused_connection_is_an_error(
    kit: Kit, mode: str, connect: Connect, records: Records
) -> None:
    client = capture(connect(Scene("http://127.0.0.1:9", [])))
    with pytest.raises(Exception) as got:
        await done(kit.resource(client).create(**kit.request))
    [found] = records()
    assert found.error is not None
    assert found.error.type.endswith("APIConnectionError")
    assert type(got.value).__name__ == "APIConnectionError"


async def test_a_stream_that_breaks_is_an_error_with_what_had_come(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.cut_stream("Half of", " an ans", then="cut"))
    bare = connect(play)
    seen: list[Any] = []
    for client in (bare, capture(bare)):
        chunks: list[Any] = []
        with pytest.raises(Exception) as got:
            async for chunk in each(
                await done(kit.resource(client).create(**kit.request, stream=True))
            ):
                chunks.append(chunk)
        seen.append((chunks, type(got.value), str(got.value), type(got.value.__cause__)))
    assert seen[0] == seen[1]
    [found] = records()
    assert found.status == "error"
    assert found.error is not None
    assert found.error.type.endswith(seen[0][1].__qualname__)
    assert found.output == kit.message("Half of an ans")
    assert found.first_token_ms is not None


async def _left(kit: Kit, client: Any, chunks: int) -> Any:
    stream = await done(kit.resource(client).create(**kit.request, stream=True))
    for _ in range(chunks):
        await following(stream)
    return stream


@pytest.mark.parametrize("way", ["close", "with", "collected"])
async def test_a_stream_that_is_left_is_abandoned_with_what_had_come(
    way: str, kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    script = kit.cut_stream("Half of", " an ans", then="silence")
    client = capture(connect(scene(script)))
    named = [event for event in script.events if event[0] != "ping"]
    stream = await _left(kit, client, len(named))
    assert records() == []
    if way == "close":
        await done(stream.close())
    elif way == "with":
        async with opened(stream):
            pass
    else:
        del stream
        gc.collect()
        await asyncio.sleep(0)
    [found] = records()
    assert found.status == "abandoned"
    assert found.output == kit.message("Half of an ans")


async def test_a_stream_helper_that_is_left_is_abandoned(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.cut_stream("Half of", " an ans", then="silence"))))
    async with opened(kit.resource(client).stream(**kit.request)) as stream:
        async for event in each(stream):
            if "an ans" in str(event):
                break
    [found] = records()
    assert found.status == "abandoned"
    assert found.output == kit.message("Half of an ans")


async def test_a_stream_of_which_nothing_was_read_is_abandoned(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream("Yes"))))
    async with opened(await done(kit.resource(client).create(**kit.request, stream=True))):
        pass
    [found] = records()
    assert found.status == "abandoned"
    assert found.output is None
    assert found.first_token_ms is None


async def test_who_stops_at_the_end_of_the_message_has_not_abandoned_it(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream("Yes", "."))))
    stream = await done(kit.resource(client).create(**kit.request, stream=True))
    last = {"openai.chat.completions": "stop", "openai.responses": "response.completed"}
    async for chunk in each(stream):
        if last.get(kit.name, "message_stop") in str(chunk):
            break
    await done(stream.close())
    [found] = records()
    assert found.status == "ok"
    assert found.output == kit.message("Yes.")


async def test_a_raw_response_that_is_closed_unread_is_abandoned(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.text_stream("Yes", "."))))
    create = kit.resource(client).with_streaming_response.create
    async with opened(create(**kit.request, stream=True)):
        pass
    [found] = records()
    assert found.status == "abandoned"


@pytest.mark.parametrize("mode", ["async"], indirect=True)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_call_is_cancelled(
    kit: Kit, streamed: bool, scene: MakeScene, connect: Connect, records: Records
) -> None:
    play = scene(kit.cut_stream("Half of", " an ans", then="silence"))
    client = capture(connect(play))
    drawn = asyncio.Event()

    async def ask() -> None:
        stream = await kit.resource(client).create(**kit.request, stream=True)
        async for chunk in stream:
            if "an ans" in str(chunk):
                drawn.set()

    async def ask_whole() -> None:
        # The server answers with a stream that never ends, which the SDK reads as one reply.
        await kit.resource(client).create(**kit.request)

    task = asyncio.create_task(ask() if streamed else ask_whole())
    await (drawn.wait() if streamed else asyncio.to_thread(play.asked.wait))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [found] = records()
    assert found.status == "cancelled"
    if streamed:
        assert found.output == kit.message("Half of an ans")


@pytest.mark.parametrize("mode", ["async"], indirect=True)
async def test_a_timeout_around_a_stream_fires_as_without_us(
    kit: Kit, scene: MakeScene, connect: Connect, records: Records
) -> None:
    client = capture(connect(scene(kit.cut_stream("Half", then="silence"))))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            async for chunk in await kit.resource(client).create(**kit.request, stream=True):
                if "Half" in str(chunk):
                    limit.reschedule(asyncio.get_running_loop().time() + 0.01)
    [found] = records()
    assert found.status == "cancelled"
    assert found.output == kit.message("Half")


async def test_a_stream_of_an_endless_answer_is_kept_within_the_budget(
    kit: Kit,
    scene: MakeScene,
    connect: Connect,
    records: Records,
) -> None:
    pieces = ["x" * 100_000] * 12
    client = capture(connect(scene(kit.text_stream(*pieces))))
    texts = await drained(await done(kit.resource(client).create(**kit.request, stream=True)))
    assert len(texts) >= 12
    [found] = records()
    assert found.status == "ok"
    assert found.metadata is not None
    assert found.metadata["truncated"] == ["output"]
    assert 800_000 < len(json.dumps(found.output)) <= 1_100_000


_LEAVES_OPEN = """
import os
import sys

sys.path.insert(0, sys.argv[1])
import kits
import afterword

afterword.configure(sys.argv[2])
streams = []
for kit, base_url in zip(kits.KITS, sys.argv[3:], strict=True):
    client = afterword.capture(kit.client(base_url, "sync"))
    stream = kit.resource(client).create(**kit.request, stream=True)
    for chunk in stream:
        if "an ans" in str(chunk):
            break
    streams.append(stream)
child = os.fork()
if child:
    os.waitpid(child, 0)
    list(streams[0])
"""


def test_streams_still_open_when_the_interpreter_exits_are_recorded_once_by_who_began_them(
    scene: MakeScene, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'exit.db'}"
    pieces = ("Half of", " an ans")
    plays = [scene(kit.cut_stream(*pieces, then="silence")) for kit in KITS[1:]]
    plays = [scene(KITS[0].text_stream(*pieces, "wer")), *plays]
    exited = subprocess.run(
        [
            sys.executable, "-X", "dev", "-W", "error", "-c", _LEAVES_OPEN,
            str(Path(__file__).parent), url, *[play.base_url for play in plays],
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert exited.returncode == 0, exited.stderr
    assert exited.stderr == ""
    client = Client(url)
    found = list(reversed(client.generations().items))
    client.close()
    assert [(one.name, one.status, one.output) for one in found] == [
        (KITS[0].name, "ok", KITS[0].message("Half of an answer")),
        *[(kit.name, "abandoned", kit.message("Half of an ans")) for kit in KITS[1:]],
    ]
