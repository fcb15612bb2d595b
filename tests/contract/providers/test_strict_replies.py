"""Strict clients: when a provider's reply, or the last chunk of it, is there, so is its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from calling import done, drained
from kits import Kit
from provider_server import Scene

import afterword
from afterword import capture

pytestmark = pytest.mark.anyio

MakeScene = Callable[..., Scene]
Connect = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "strict.db"


@pytest.fixture
def client(path: Path) -> Iterator[afterword.Client]:
    made = afterword.configure(f"sqlite:///{path}", project="contract", durability="strict")
    made.store.open()
    yield made
    assert made.status().faults == 0
    made.close()


@pytest.fixture
def stored(client: afterword.Client, path: Path) -> Iterator[Callable[[], list[str]]]:
    """The statuses of the generations that another connection sees."""
    connection = apsw.Connection(str(path))

    def read() -> list[str]:
        return [str(status) for (status,) in connection.execute("SELECT status FROM generations")]

    yield read
    connection.close()


Stored = Callable[[], list[str]]


async def test_the_record_is_stored_when_the_reply_is_there(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, stored: Stored
) -> None:
    client = capture(connect(scene(kit.reply("so"))))
    for number in range(3):
        await done(kit.resource(client).create(**kit.request))
        assert stored() == ["ok"] * (number + 1)


async def test_the_record_is_stored_when_the_stream_has_ended(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, stored: Stored
) -> None:
    client = capture(connect(scene(kit.text_stream("so ", "it ", "goes"))))
    await drained(await done(kit.resource(client).create(**kit.request, stream=True)))
    assert stored() == ["ok"]


async def test_inside_a_decorated_function_both_records_are_stored_when_it_has_returned(
    kit: Kit, mode: str, scene: MakeScene, connect: Connect, stored: Stored
) -> None:
    client = capture(connect(scene(kit.reply("so"))))

    @afterword.generation
    async def answer() -> None:
        await done(kit.resource(client).create(**kit.request))
        assert stored() == ["ok"]

    await answer()
    assert stored() == ["ok", "ok"]
