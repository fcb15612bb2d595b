"""Runs every benchmark and prints one table of ratios."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pyperf

from benchmarks import feedback, losses, overload, payloads, process, server, tails, web
from benchmarks.calls import KINDS

ROOT = Path(__file__).parents[1]
HEAD = ("what", "plain", "wrapt", "afterword", "over wrapt", "budget")


def calls() -> list[tuple[str, ...]]:
    """pyperf's medians of each kind, in µs."""
    with tempfile.TemporaryDirectory() as folder:
        results = str(Path(folder) / "calls.json")
        command = [sys.executable, "-m", "benchmarks.calls", "--quiet", "-o", results]
        command += ["--inherit-environ", "PYTHONPATH"]
        # pyperf starts its workers by this package's file names, so they need to be told where it is.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
        suite = pyperf.BenchmarkSuite.load(results)
    median = {bench.get_name(): bench.median() * 1e6 for bench in suite.get_benchmarks()}
    rows: list[tuple[str, ...]] = []
    for kind in KINDS:
        plain, wrapt, ours = (median[f"{kind}: {name}"] for name in ("plain", "wrapt", "afterword"))
        budget = "+1.5 µs over plain" if "chunk" in kind else ""
        over = f"+{ours - (plain if 'chunk' in kind else wrapt):.2f} µs ({ours / wrapt:.1f}x)"
        rows.append(
            (f"{kind}, tight, µs", f"{plain:.2f}", f"{wrapt:.2f}", f"{ours:.2f}", over, budget)
        )
    return rows


def single_calls() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for kind, variants in tails.measured().items():
        caller = "" if "messages" in kind else "+8 µs"
        for index, (label, budget) in enumerate((("p50", caller), ("p99", "150 µs"))):
            plain, wrapt, ours = (variants[name][index] for name in ("plain", "wrapt", "afterword"))
            over = f"+{ours - wrapt:.2f} µs ({ours / wrapt:.1f}x)"
            rows.append(
                (
                    f"{kind}, paced, {label}, µs",
                    f"{plain:.2f}",
                    f"{wrapt:.2f}",
                    f"{ours:.2f}",
                    over,
                    budget,
                )
            )
    return rows


def whole_process() -> list[tuple[str, ...]]:
    bare, ours = process.cpu_us()
    before, after = process.memory_mb()
    dependencies, imported = process.import_ms()
    return [
        ("CPU per generation delivered, µs", f"{bare:.1f}", "", f"{ours:.1f}", f"+{ours - bare:.1f} µs", "40 µs"),
        ("memory after 5,000 and 100,000 calls, MB", f"{before:.0f}", "", f"{after:.0f}", f"+{after - before:.0f} MB", "bounded"),
        ("import, beyond the dependencies, ms", f"{dependencies:.0f}", "", f"{imported:.0f}", f"+{imported - dependencies:.0f} ms", "60 ms"),
    ]  # fmt: skip


def worst_payload() -> list[tuple[str, ...]]:
    found = payloads.measured().values()
    callers, pauses = max(caller for caller, _ in found), max(pause for _, pause in found)
    return [
        ("worst payload, caller, ms", "", "", f"{callers:.1f}", "", "5 ms"),
        ("worst payload, pause of other threads, ms", "", "", f"{pauses:.1f}", "", "20 ms"),
    ]


def under_overload() -> list[tuple[str, ...]]:
    found = overload.measured()
    told = f"{found.offered:.0f}/s offered, {found.capacity:.0f}/s taken, {found.dropped} dropped"
    law = "counts add up" if found.adds_up else "COUNTS DO NOT ADD UP"
    return [
        ("memory grown in a minute of twice the load, MB", "", "", f"{found.growth_mb:.0f}", told, "77 MB"),
        ("the law of conservation under it", "", "", law, "", "exact"),
    ]  # fmt: skip


def durable_feedback() -> list[tuple[str, ...]]:
    found = feedback.measured()
    return [
        ("durable feedback by HTTP, one worker, per second", "", "", f"{found.per_second:.0f}", "", "3,000"),
        ("durable feedback by HTTP, p99, ms", "", "", f"{found.p99_ms:.1f}", "", "25 ms"),
    ]  # fmt: skip


def delivery() -> list[tuple[str, ...]]:
    """Of calls recorded on a remote server: lost, there twice, and the seconds that the exit took."""
    rows: list[tuple[str, ...]] = []
    for name, found in losses.measured().items():
        came = f"{found.lost} / {found.duplicated} / {found.exit_s:.2f}"
        rows.append((f"lost / twice / exit s, {name}", "", "", came, "", "0 / 0 / 2"))
    return rows


def main() -> None:
    cores = os.cpu_count()
    print(f"Python {platform.python_version()}, {cores} cores, load {os.getloadavg()[0]:.1f}\n")
    rows = [
        HEAD,
        tuple("---" for _ in HEAD),
        *calls(),
        *single_calls(),
        *whole_process(),
        *worst_payload(),
        *under_overload(),
        *durable_feedback(),
        *server.rows(),
        *web.rows(),
        *delivery(),
    ]
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
