"""Caller time per call and per chunk. Run by pyperf, which calls this file in worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pyperf

from benchmarks import workload

TASKS = 100
LOOPS = 2_000


Inputs = Callable[[], workload.Arguments]


def sync_calls(loops: int, function: Callable[..., Any], arguments: Inputs) -> float:
    inputs = [arguments() for _ in range(loops)]
    started_s = pyperf.perf_counter()
    for given in inputs:
        function(*given)
    return pyperf.perf_counter() - started_s


def async_calls(loops: int, function: Callable[..., Any], arguments: Inputs) -> float:
    async def run() -> float:
        inputs = [arguments() for _ in range(loops)]
        started_s = pyperf.perf_counter()
        for given in inputs:
            await function(*given)
        return pyperf.perf_counter() - started_s

    return asyncio.run(run())


def concurrent_calls(loops: int, function: Callable[..., Any], arguments: Inputs) -> float:
    rounds = max(1, loops // TASKS)

    async def one() -> None:
        await function(*arguments())

    async def run() -> float:
        started_s = pyperf.perf_counter()
        for _ in range(rounds):
            await asyncio.gather(*[one() for _ in range(TASKS)])
        return pyperf.perf_counter() - started_s

    return asyncio.run(run()) / (rounds * TASKS) * loops


def chunks(loops: int, function: Callable[..., Any], arguments: Inputs) -> float:
    streams = max(1, loops // workload.CHUNKS)
    inputs = [arguments() for _ in range(streams)]
    started_s = pyperf.perf_counter()
    for given in inputs:
        for _ in function(*given):
            pass
    return (pyperf.perf_counter() - started_s) / (streams * workload.CHUNKS) * loops


def async_chunks(loops: int, function: Callable[..., Any], arguments: Inputs) -> float:
    streams = max(1, loops // workload.CHUNKS)

    async def run() -> float:
        inputs = [arguments() for _ in range(streams)]
        started_s = pyperf.perf_counter()
        for given in inputs:
            async for _ in function(*given):
                pass
        return pyperf.perf_counter() - started_s

    return asyncio.run(run()) / (streams * workload.CHUNKS) * loops


Timing = Callable[[int, Callable[..., Any], Inputs], float]
_TEXT, _MESSAGES = workload.text_arguments, workload.messages_arguments

KINDS: dict[str, tuple[Timing, Callable[..., Any], Inputs]] = {
    "sync call": (sync_calls, workload.call, _TEXT),
    "async call": (async_calls, workload.call_async, _TEXT),
    "100 tasks": (concurrent_calls, workload.call_async, _TEXT),
    "sync call, messages": (sync_calls, workload.call_messages, _MESSAGES),
    "async call, messages": (async_calls, workload.call_messages_async, _MESSAGES),
    "chunk": (chunks, workload.stream, _TEXT),
    "async chunk": (async_chunks, workload.stream_async, _TEXT),
}


def main() -> None:
    client = workload.client()
    runner = pyperf.Runner(processes=3, values=5, warmups=1, loops=LOOPS)
    for kind, (timing, function, inputs) in KINDS.items():
        for name, variant in workload.variants(function).items():

            def timed(
                loops: int, timing: Any = timing, variant: Any = variant, inputs: Any = inputs
            ) -> float:
                spent_s: float = timing(loops, variant, inputs)
                client.flush()  # outside the time taken; the thread delivers during it, too
                return spent_s

            runner.bench_time_func(f"{kind}: {name}", timed)


if __name__ == "__main__":
    main()
