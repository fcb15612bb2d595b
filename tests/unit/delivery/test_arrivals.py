"""Answers from a thread arrive on the loop that awaits them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from afterword.delivery.answers import Answer
from afterword.delivery.arrivals import arriving

WAIT_S = 10.0


def test_many_answers_given_at_once_all_arrive_in_their_places() -> None:
    answers: list[Answer[int]] = [Answer() for _ in range(500)]

    def answer() -> None:
        for number, future in enumerate(answers):
            future.tell(number)

    async def main() -> list[int]:
        waiting = [arriving(future) for future in answers]
        thread = threading.Thread(target=answer)
        thread.start()
        async with asyncio.timeout(WAIT_S):
            found = await asyncio.gather(*waiting)
        thread.join()
        return found

    assert asyncio.run(main()) == list(range(500))


def test_an_answer_that_is_there_already_arrives() -> None:
    async def main() -> str:
        future: Answer[str] = Answer()
        future.tell("there")
        return await asyncio.wait_for(arriving(future), WAIT_S)

    assert asyncio.run(main()) == "there"


def test_an_error_arrives_as_itself() -> None:
    async def main() -> None:
        future: Answer[str] = Answer()
        future.fail(OSError("away"))
        await asyncio.wait_for(arriving(future), WAIT_S)

    with pytest.raises(OSError, match="away"):
        asyncio.run(main())


def test_who_gives_up_keeps_nobody_from_the_answer() -> None:
    async def main() -> str:
        future: Answer[str] = Answer()
        given_up, patient = arriving(future), arriving(future)
        given_up.cancel()
        future.tell("late")
        found = await asyncio.wait_for(patient, WAIT_S)
        assert given_up.cancelled()
        return found

    assert asyncio.run(main()) == "late"


def test_an_answer_after_the_end_of_the_loop_is_let_go() -> None:
    future: Answer[str] = Answer()

    async def main() -> None:
        arriving(future).cancel()

    asyncio.run(main())
    future.tell("too late")
    assert future.result() == "too late"


def test_two_loops_in_two_threads_each_get_their_own() -> None:
    futures: list[Answer[int]] = [Answer(), Answer()]
    ready = threading.Barrier(3)
    found: dict[int, int] = {}

    def run(number: int) -> None:
        async def main() -> int:
            waiter = arriving(futures[number])
            await asyncio.to_thread(ready.wait, WAIT_S)
            return await asyncio.wait_for(waiter, WAIT_S)

        found[number] = asyncio.run(main())

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    ready.wait(WAIT_S)
    for number, future in enumerate(futures):
        future.tell(number)
    for thread in threads:
        thread.join(WAIT_S)
    assert found == {0: 0, 1: 1}
