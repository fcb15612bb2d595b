"""p50 and p99 of single calls, in bursts of 20 of each kind with 20 ms between, the three variants in turn."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from benchmarks import workload

BURST = 20
IDLE_S = 0.02
BURSTS = 200


_KINDS: dict[str, tuple[Any, Any]] = {
    "sync call": (workload.call, workload.text_arguments),
    "async call": (workload.call_async, workload.text_arguments),
    "sync call, messages": (workload.call_messages, workload.messages_arguments),
    "async call, messages": (workload.call_messages_async, workload.messages_arguments),
}


def measured() -> dict[str, dict[str, tuple[float, float]]]:
    """p50 and p99 in µs, by kind and variant."""
    client = workload.client()
    variants = {kind: workload.variants(function) for kind, (function, _) in _KINDS.items()}
    out: dict[str, dict[str, list[int]]] = {
        kind: {name: [] for name in named} for kind, named in variants.items()
    }

    async def run() -> None:
        for _ in range(BURSTS):
            for name in ("plain", "wrapt", "afterword"):
                for kind, (_, arguments) in _KINDS.items():
                    burst = _async_burst if "async" in kind else _burst
                    out[kind][name] += await burst(variants[kind][name], arguments)
                await asyncio.sleep(IDLE_S)

    asyncio.run(run())
    client.flush()
    return {
        kind: {name: _p50_p99(samples) for name, samples in named.items()}
        for kind, named in out.items()
    }


async def _burst(function: Any, arguments: Any) -> list[int]:
    samples: list[int] = []
    for _ in range(BURST):
        given = arguments()
        started_ns = time.perf_counter_ns()
        function(*given)
        samples.append(time.perf_counter_ns() - started_ns)
    return samples


async def _async_burst(function: Any, arguments: Any) -> list[int]:
    samples: list[int] = []
    for _ in range(BURST):
        given = arguments()
        started_ns = time.perf_counter_ns()
        await function(*given)
        samples.append(time.perf_counter_ns() - started_ns)
    return samples


def _p50_p99(samples: list[int]) -> tuple[float, float]:
    cuts = statistics.quantiles(samples, n=100)
    return cuts[49] / 1_000, cuts[98] / 1_000
