"""p50 and p99 of single calls, in bursts of 20 with 20 ms between, the three variants in turn."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from benchmarks import workload

BURST = 20
IDLE_S = 0.02
BURSTS = 200


def measured() -> dict[str, dict[str, tuple[float, float]]]:
    """p50 and p99 in µs, by kind and variant."""
    client = workload.client()
    out: dict[str, dict[str, list[int]]] = {"sync call": {}, "async call": {}}
    sync, awaited = workload.variants(workload.call), workload.variants(workload.call_async)

    async def run() -> None:
        for _ in range(BURSTS):
            for name in sync:
                out["sync call"].setdefault(name, []).extend(_burst(sync[name]))
                out["async call"].setdefault(name, []).extend(await _async_burst(awaited[name]))
                await asyncio.sleep(IDLE_S)

    asyncio.run(run())
    client.flush()
    return {
        kind: {name: _p50_p99(samples) for name, samples in variants.items()}
        for kind, variants in out.items()
    }


def _burst(function: Any) -> list[int]:
    samples: list[int] = []
    for _ in range(BURST):
        prompt, messages = workload.arguments()
        started_ns = time.perf_counter_ns()
        function(prompt, messages=messages)
        samples.append(time.perf_counter_ns() - started_ns)
    return samples


async def _async_burst(function: Any) -> list[int]:
    samples: list[int] = []
    for _ in range(BURST):
        prompt, messages = workload.arguments()
        started_ns = time.perf_counter_ns()
        await function(prompt, messages=messages)
        samples.append(time.perf_counter_ns() - started_ns)
    return samples


def _p50_p99(samples: list[int]) -> tuple[float, float]:
    cuts = statistics.quantiles(samples, n=100)
    return cuts[49] / 1_000, cuts[98] / 1_000
