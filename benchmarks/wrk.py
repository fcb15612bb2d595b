"""wrk, the load generator that budgets of the web are stated for; without it, our own does."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.http_load import Load

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""
_UNIT_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


def is_here() -> bool:
    """Whether wrk is on the PATH."""
    return shutil.which("wrk") is not None


def load(port: int, path: str, body: bytes, connections: int, seconds: int) -> Load:
    """POST the body for so long over that many connections, each one request after the other."""
    with tempfile.TemporaryDirectory(prefix="afterword-bench-") as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.format(body=body.decode("ascii")), "ascii")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return told(done.stdout)


def told(report: str) -> Load:
    """What a report of wrk says."""
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report
    )
    return Load(
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", report)[1]),
        p50_ms=_percentile(50, report),
        p99_ms=_percentile(99, report),
        refused=(int(refused[1]) if refused else 0)
        + sum(map(int, broken.groups() if broken else ())),
        requests=int(_found(r"(\d+) requests in ", report)[1]),
    )


def _percentile(percent: int, report: str) -> float:
    found = _found(rf"\b{percent}%\s+([\d.]+)(us|ms|s|m)\b", report)
    return float(found[1]) * _UNIT_MS[found[2]]


def _found(pattern: str, report: str) -> re.Match[str]:
    found = re.search(pattern, report)
    assert found is not None, report
    return found
