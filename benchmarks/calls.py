"""Caller time per call and per chunk. Run by pyperf, which calls this file in worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pyperf

from benchmarks import workload

TASKS = 100
LOOPS = 2_000


def sync_calls(loops: int, function: Callable[..., Any]) -> float:
    inputs = [workload.arguments() for _ in range(loops)]
    started_s = pyperf.perf_counter()
    for prompt, messages in inputs:
        function(prompt, messages=messages)
    return pyperf.perf_counter() - started_s


def async_calls(loops: int, function: Callable[..., Any]) -> float:
    async def run() -> float:
        inputs = [workload.arguments() for _ in range(loops)]
        started_s = pyperf.perf_counter()
        for prompt, messages in inputs:
            await function(prompt, messages=messages)
        return pyperf.perf_counter() - started_s

    return asyncio.run(run())


def concurrent_calls(loops: int, function: Callable[..., Any]) -> float:
    rounds = max(1, loops // TASKS)

    async def one() -> None:
        prompt, messages = workload.arguments()
        await function(prompt, messages=messages)

    async def run() -> float:
        started_s = pyperf.perf_counter()
        for _ in range(rounds):
            await asyncio.gather(*[one() for _ in range(TASKS)])
        return pyperf.perf_counter() - started_s

    return asyncio.run(run()) / (rounds * TASKS) * loops


def chunks(loops: int, function: Callable[..., Any]) -> float:
    streams = max(1, loops // workload.CHUNKS)
    inputs = [workload.arguments() for _ in range(streams)]
    started_s = pyperf.perf_counter()
    for prompt, messages in inputs:
        for _ in function(prompt, messages=messages):
            pass
    return (pyperf.perf_counter() - started_s) / (streams * workload.CHUNKS) * loops


def async_chunks(loops: int, function: Callable[..., Any]) -> float:
    streams = max(1, loops // workload.CHUNKS)

    async def run() -> float:
        inputs = [workload.arguments() for _ in range(streams)]
        started_s = pyperf.perf_counter()
        for prompt, messages in inputs:
            async for _ in function(prompt, messages=messages):
                pass
        return pyperf.perf_counter() - started_s

    return asyncio.run(run()) / (streams * workload.CHUNKS) * loops


KINDS: dict[str, tuple[Callable[[int, Callable[..., Any]], float], Callable[..., Any]]] = {
    "sync call": (sync_calls, workload.call),
    "async call": (async_calls, workload.call_async),
    "100 tasks": (concurrent_calls, workload.call_async),
    "chunk": (chunks, workload.stream),
    "async chunk": (async_chunks, workload.stream_async),
}


def main() -> None:
    client = workload.client()
    runner = pyperf.Runner(processes=3, values=5, warmups=1, loops=LOOPS)
    for kind, (timing, function) in KINDS.items():
        for name, variant in workload.variants(function).items():

            def timed(loops: int, timing: Any = timing, variant: Any = variant) -> float:
                spent_s: float = timing(loops, variant)
                client.flush()  # outside the time taken; the thread delivers during it, too
                return spent_s

            runner.bench_time_func(f"{kind}: {name}", timed)


if __name__ == "__main__":
    main()
