"""Ten thousand requests at once, each with three nested generations: none sees anything of another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest

import afterword
from afterword import Client, Generation

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def client() -> Iterator[Client]:
    made = afterword.configure("memory:", project="context")
    yield made
    made.close()


def everything(client: Client) -> list[Generation]:
    assert client.flush(60)
    found: list[Generation] = []
    after = None
    while True:
        page = client.generations(limit=500, after=after)
        found += page.items
        if page.next is None:
            return found
        after = page.next


# --- ten thousand requests --------------------------------------------------------------------

REQUESTS = 10_000


class Mixup(AssertionError):
    pass


def here(number: int, expected: str | None = None) -> str:
    """The data ID in context, which must be of this request."""
    found = afterword.current_data_id()
    if found is None or (expected is not None and found != expected):
        raise Mixup(f"request {number} sees {found}, not {expected}")
    return found


@afterword.generation(name="inner")
def leaf(number: int) -> str:
    return here(number)


@afterword.generation(name="inner")
async def aleaf(number: int) -> str:
    mine = here(number)
    await asyncio.sleep(0)
    return here(number, mine)


@afterword.generation(name="middle")
async def middle(number: int, dice: random.Random) -> str:
    mine = here(number)
    await pause(dice)
    inner = leaf(number) if dice.random() < 0.5 else await aleaf(number)
    here(number, mine)
    if inner == mine:
        raise Mixup
    return mine


@afterword.generation(name="middle")
async def amiddle(number: int, dice: random.Random) -> AsyncIterator[str]:
    mine = here(number)
    yield mine
    await pause(dice)
    await aleaf(number)
    yield here(number, mine)


@afterword.generation(name="middle")
def gmiddle(number: int) -> Iterator[str]:
    mine = here(number)
    yield mine
    leaf(number)
    yield here(number, mine)


@afterword.generation(name="outer")
async def outer(number: int, dice: random.Random) -> str:
    mine = here(number)
    await pause(dice)
    match dice.randrange(4):
        case 0:
            await middle(number, dice)
        case 1:
            async for _ in amiddle(number, dice):
                here(number, mine)
                await pause(dice)
        case 2:
            for _ in gmiddle(number):
                here(number, mine)
                await pause(dice)
        case _:
            async with asyncio.TaskGroup() as group:
                group.create_task(middle(number, dice))
                await asyncio.sleep(0)
    return here(number, mine)


async def pause(dice: random.Random) -> None:
    for _ in range(dice.randrange(3)):
        await asyncio.sleep(0)


async def request(number: int, seed: int) -> str:
    dice = random.Random(seed * REQUESTS + number)
    if dice.random() < 0.2:  # some have no trail of their own
        await pause(dice)
        if afterword.last_data_id() is not None:
            raise Mixup
        mine = await outer(number, dice)
        if afterword.last_data_id() != mine:
            raise Mixup
        return mine
    async with afterword.trail(user=str(number)) as trail:
        await pause(dice)
        mine = await outer(number, dice)
        if trail.data_ids != [mine] or afterword.current_data_id() is not None:
            raise Mixup
    return mine


async def serve(client: Client, seed: int) -> None:
    leaf(-1) if seed < 0 else None
    outermost = await asyncio.gather(*(request(number, seed) for number in range(REQUESTS)))
    found = {each.id: each for each in await asyncio.to_thread(everything, client)}
    assert len(found) == 3 * REQUESTS
    wrong = 0
    for number, mine in enumerate(outermost):
        wrong += found[mine].inputs["number"] != number
    for each in found.values():
        root = found[str(each.root_id)]
        parent = None if each.parent_id is None else found[each.parent_id].name
        right = {"outer": None, "middle": "outer", "inner": "middle"}[str(each.name)] == parent
        same = each.inputs["number"] == root.inputs["number"] and each.user == root.user
        named = each.user in (None, str(each.inputs["number"]))
        wrong += not (right and same and named and each.status == "ok")
    assert wrong == 0
    assert client.status().faults == 0


async def test_ten_thousand_requests_at_once_never_mix(client: Client) -> None:
    await serve(client, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3, 4, 5, 6])
async def test_ten_thousand_requests_at_once_never_mix_with_other_seeds(
    client: Client, seed: int
) -> None:
    await serve(client, seed)
