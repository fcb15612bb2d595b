"""A program that uses afterword as any program does, told by lines of JSON what to do next.

``python client_worker.py LEDGER``; the rest of its configuration is in the environment. Each line on
standard input is ``[command, arguments]``, each line on standard output what came of it. It ends by
coming to its end when standard input does.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from ledger import Ledger

import afterword
from afterword.errors import AfterwordError

ledger = Ledger(sys.argv[1])
#: What this process has attempted since a flush said that all was durable.
unacknowledged: list[str] = []
_POLL_S = 0.02


def acknowledge() -> None:
    ledger.acknowledge(*unacknowledged)
    unacknowledged.clear()


@afterword.generation(name="answer")
def answer(question: str) -> str:
    return f"the answer to {question}"


def named(name: str) -> str:
    """The data ID of this name: projects on one server share none, or feedback could go astray."""
    return f"{os.environ.get('AFTERWORD_PROJECT', 'default')}-{name}"


def log(prefix: str, count: int, is_strict: bool = False, size: int = 100) -> dict[str, Any]:
    """Log generations; with `is_strict`, a call's return is the acknowledgement."""
    spent: list[float] = []
    for number in range(count):
        data_id, inputs = named(f"{prefix}-{number}"), {"number": number, "text": "q" * size}
        key = ledger.attempt(data_id, inputs, f"answer {number}")
        started_s = time.perf_counter()
        afterword.log(data_id=data_id, inputs=inputs, output=f"answer {number}")
        spent.append(time.perf_counter() - started_s)
        if is_strict:
            ledger.acknowledge(key)
        else:
            unacknowledged.append(key)
    return {"p50_us": sorted(spent)[count // 2] * 1e6, "most_us": max(spent) * 1e6}


def log_as(name: str, inputs: Any, output: Any, keep: bool = False) -> dict[str, Any]:
    """Log one generation. Without `keep` the ledger does not hear of it: it must not be what is held."""
    data_id = named(name)
    if keep:
        unacknowledged.append(ledger.attempt(data_id, inputs, output))
    afterword.log(data_id=data_id, inputs=inputs, output=output)
    return {}


def call(count: int) -> dict[str, Any]:
    """Call a decorated function; gives what its callers waited."""
    spent: list[float] = []
    for number in range(count):
        started_s = time.perf_counter()
        assert answer(str(number)) == f"the answer to {number}"
        spent.append(time.perf_counter() - started_s)
    return {"p50_us": sorted(spent)[count // 2] * 1e6, "most_us": max(spent) * 1e6}


def feedback(names: list[str], value: str = "good", user: str = "ann") -> dict[str, Any]:
    """Rate each of these; an answer is the acknowledgement."""
    pending = 0
    most_s = 0.0
    for data_id in map(named, names):
        key = ledger.attempt_feedback(data_id, "rating", value, user)
        started_s = time.perf_counter()
        given = afterword.feedback(data_id, "rating", value, user=user)
        most_s = max(most_s, time.perf_counter() - started_s)
        ledger.acknowledge(key)
        pending += given.pending
    return {"pending": pending, "most_s": most_s}


def flush(timeout_s: float) -> dict[str, Any]:
    started_s = time.perf_counter()
    is_durable = afterword.flush(timeout_s)
    if is_durable:
        acknowledge()
    return {"durable": is_durable, "seconds": time.perf_counter() - started_s}


def status() -> dict[str, int]:
    found = afterword.status()
    kept = found.stored + found.buffered + found.spooled + found.dead_lettered + found.dropped
    assert found.captured == kept, found
    return {name: getattr(found, name) for name in type(found).__struct_fields__}


def settle(timeout_s: float) -> dict[str, Any]:
    """Wait, without hurrying anything, until nothing is on its way; being stored acknowledges."""
    started_s = time.perf_counter()
    while True:
        found = status()
        spent_s = time.perf_counter() - started_s
        if not (found["buffered"] or found["spooled"]) or spent_s > timeout_s:
            if found["stored"] == found["captured"]:
                acknowledge()
            return {**found, "seconds": spent_s}
        time.sleep(_POLL_S)


def deliver(timeout_s: float) -> dict[str, Any]:
    """Have it tried at once, and again, until all of it is stored."""
    until_s = time.perf_counter() + timeout_s
    while time.perf_counter() < until_s:
        flush(1.0)
        found = status()
        if found["stored"] == found["captured"]:
            break
        time.sleep(_POLL_S)
    return status()


def get(name: str) -> dict[str, Any]:
    found = afterword.get(named(name))
    if found is None:
        return {}
    current = {said.type: said.value for said in found.feedback}
    return {"status": found.status, "output": found.output, "feedback": current}


COMMANDS: dict[str, Callable[..., Any]] = {
    "log": log, "log_as": log_as, "call": call, "feedback": feedback, "flush": flush, "status": status,
    "settle": settle, "deliver": deliver, "get": get,
}  # fmt: skip


def resolver(host: str, port: int, *arguments: Any, **more: Any) -> Any:
    """A resolver that does not answer for half a minute, knows nobody, or says what a file says."""
    kind = os.environ["CAMPAIGN_RESOLVER"]
    if kind == "hangs":
        time.sleep(30)
    if kind in ("hangs", "nxdomain"):
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is unknown")
    with open(kind, encoding="ascii") as file:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (file.read(), port))]


def main() -> None:
    if "CAMPAIGN_RESOLVER" in os.environ:
        socket.getaddrinfo = resolver
    for line in sys.stdin:
        command, arguments = json.loads(line)
        started_s = time.perf_counter()
        try:
            result = COMMANDS[command](**arguments)
        except AfterwordError as error:
            result = {"error": type(error).__name__, "told": str(error)}
        result.setdefault("seconds", time.perf_counter() - started_s)
        sys.stdout.write(f"{json.dumps(result)}\n")
        sys.stdout.flush()


main()
