"""What the worst payloads cost: the caller's time, and how long other threads have to wait for us."""

from __future__ import annotations

import gc
import random
import time
from typing import Any

import afterword
from benchmarks import workload

_PATIENCE_S = 5.0
_TICK_S = 0.0002


def _payloads() -> dict[str, Any]:
    chosen = random.Random(7)
    words = " ".join("".join(chosen.choices("abcdefghijklmnop-_AJ", k=6)) for _ in range(150_000))[
        :999_000
    ]
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    return {
        "1 MB of words": {"a": words},
        "four texts of 250 kB": [words[:249_000]] * 4,
        "a prompt of 50 MB": [{"role": "user", "content": "x" * 50_000_000}],
        "a million messages": [{"role": "user", "content": "hi"}] * 1_000_000,
        "a dict of 10,000 keys": {f"key {number}": "v" * 90 for number in range(10_000)},
        "keys of an API, over and over": "sk-abcdefghijklmnop123456 " * 38_000,
        "the beginnings of private keys": ["-----BEGIN PRIVATE KEY-----" * 36_000],
        "hints of secrets and no secret": ["A-_" * 333_000],
        "bearers of nothing": ["Bearer " * 140_000],
        "integers of 90,000 bits": [1 << 90_000 + number for number in range(80)],
        "lone surrogates": ["x\ud800" * 400_000],
        "bytes": b"x" * 999_000,
        "lists 100,000 deep": deep,
    }


def measured() -> dict[str, tuple[float, float]]:
    """The caller's ms and the longest pause of another thread in ms, by payload."""
    client = workload.client()

    @afterword.generation
    def take(payload: Any) -> str:
        return "ok"

    take("first")
    client.flush()
    out: dict[str, tuple[float, float]] = {}
    payloads = _payloads()
    for name, payload in payloads.items():
        gc.collect()
        gc.freeze()  # the collector's walks over these payloads are not ours
        started_s = time.perf_counter()
        take(payload)
        caller_s = time.perf_counter() - started_s
        longest_s, last_s = 0.0, time.perf_counter()
        deadline_s = last_s + _PATIENCE_S
        while client.status().buffered and last_s < deadline_s:
            time.sleep(_TICK_S)
            now_s = time.perf_counter()
            longest_s, last_s = max(longest_s, now_s - last_s), now_s
        out[name] = (caller_s * 1_000, longest_s * 1_000)
    deep = payloads.pop("lists 100,000 deep")
    while isinstance(deep, list):
        deep = deep[0]  # taken apart by hand, since its own finaliser would be deep
    return out


if __name__ == "__main__":
    for payload, (caller_ms, pause_ms) in measured().items():
        print(f"| {payload} | {caller_ms:.2f} | {pause_ms:.1f} |")
