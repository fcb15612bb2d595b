"""CPU per generation delivered, memory, and import time, each in a process of its own."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

from benchmarks import workload

CALLS = 20_000
MEMORY_CALLS = 100_000
IMPORTS = 15
#: What `import afterword` brings in of others'.
DEPENDENCIES = (
    "import apsw, asyncio, contextvars_extras, msgspec, uuid_utils, wrapt, concurrent.futures"
)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_us() -> tuple[float, float]:
    """Process CPU in µs a generation, flush included: of bare calls, and of recorded ones."""
    client = workload.client()
    plain, _, decorated = workload.variants(workload.call).values()
    spent: list[float] = []
    for function in (plain, decorated):
        for _ in range(500):
            function(*workload.text_arguments())
        client.flush()
        stored, started_s = client.status().stored, _cpu_s()
        for _ in range(CALLS):
            function(*workload.text_arguments())
        client.flush()
        spent.append((_cpu_s() - started_s) / CALLS * 1e6)
        if function is decorated:
            status = client.status()
            assert status.stored - stored == CALLS, status
    return spent[0], spent[1]


def memory_mb() -> tuple[float, float]:
    """Resident memory in MB before and after 100,000 recorded calls, flushed every 5,000."""
    client = workload.client()
    _, _, decorated = workload.variants(workload.call_messages).values()
    before = 0.0
    for number in range(MEMORY_CALLS):
        decorated(*workload.messages_arguments())
        if number % 5_000 == 4_999:
            client.flush()
            before = before or _resident_mb()
    return before, _resident_mb()


def _resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 1e6


def import_ms() -> tuple[float, float]:
    """Median ms to import the dependencies alone, and afterword, in turn in fresh processes."""
    samples: dict[str, list[float]] = {DEPENDENCIES: [], "import afterword": []}
    for _ in range(IMPORTS):
        for statement, spent in samples.items():
            started_s = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            spent.append((time.perf_counter() - started_s) * 1_000)
    dependencies, ours = (statistics.median(spent) for spent in samples.values())
    return dependencies, ours
