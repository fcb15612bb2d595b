"""F35, F36: programs that end in every way there is, and while their server is of no use."""

from __future__ import annotations

import signal
import statistics
import subprocess
import time
from pathlib import Path

import figures
import pytest
import worker_runs
from fault_proxy import FaultProxy, Toxics
from ledger import check, held_in_sqlite, read
from stub_replies import trickle

RECORDS = 60
WAIT_S = 40.0

#: How a program ends, its exit code, and whether what is younger than the recorder's 100 ms survives.
KINDS = {
    "return": (0, True),
    "sys.exit": (3, True),
    "exception": (1, True),
    "SIGINT": (-signal.SIGINT, True),
    "daemon thread": (0, True),
    "asyncio": (0, True),
    "SIGTERM": (-signal.SIGTERM, False),
    "SIGKILL": (-signal.SIGKILL, False),
    "os._exit": (4, False),
    "exec": (0, False),
}


def settings(folder: Path, url: str, durability: str = "normal") -> dict[str, str]:
    return {
        "AFTERWORD_URL": url,
        "AFTERWORD_PROJECT": "p",
        "AFTERWORD_SPOOL": str(folder / "spool"),
        "AFTERWORD_DURABILITY": durability,
    }


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("durability", ["strict", "normal"])
def test_f35_what_survives_each_kind_of_end_is_what_is_promised(
    tmp_path: Path, durability: str
) -> None:
    table: dict[str, int] = {}
    with figures.run(f"F35 {durability}") as run:
        for kind, (code, is_kept) in KINDS.items():
            folder = tmp_path / kind
            folder.mkdir()
            url = f"sqlite:///{folder / 'store.db'}"
            mine = settings(folder, url, durability)
            with worker_runs.running("exits.py", kind, folder, RECORDS, **mine) as process:
                assert line(process) == "captured"
                if kind.startswith("SIG"):
                    process.send_signal(KINDS[kind][0] * -1)
                _, errors = process.communicate(timeout=WAIT_S)
            assert process.returncode == code, (kind, errors)
            assert "afterword" not in errors.replace("afterword.generation", ""), errors
            worker_runs.told(worker_runs.run("drain.py", folder / "spool", **mine))
            entries = read(folder / "ledger")
            held = held_in_sqlite(folder / "store.db")
            known = {key for key, _ in held.rows} & entries.attempted.keys()
            result = run.add(
                check(
                    entries, held._replace(rows=[*filter(lambda row: row[0] in known, held.rows)])
                )
            )
            result.require(kind)
            table[kind] = result.stored
            if is_kept or durability == "strict":
                assert result.stored == RECORDS, kind
            # That of a thread or a task in the middle of its call: abandoned, or cancelled.
            beside = len(held.rows) - len(known)
            assert beside == (1 if kind == "asyncio" else 0) or kind == "daemon thread", kind
        run.more["survived"] = table


class Server:
    """A server that is of no use, in one way."""

    def __init__(self, proxy: FaultProxy, how: str) -> None:
        self.url = proxy.url
        if how == "trickles":
            proxy.script = lambda request: trickle()
        elif how == "takes and says nothing":
            proxy.toxics = Toxics(timeout=True)
        elif how == "drops all packets":
            self.url = "http://192.0.2.1:8787"  # a net that RFC 5737 gives to nobody
        elif how == "refuses":
            self.url = "http://127.0.0.1:9"  # discard, which nobody serves


HOWS = ("refuses", "trickles", "takes and says nothing", "drops all packets")
#: For the interpreter's own end on a machine that is busy.
SLACK_S = 0.5


def end_s(how: str, folder: Path, records: int, **mine: str) -> float:
    """How long a program takes to end from when its own code is over."""
    with worker_runs.running("exits.py", how, folder, records, **mine) as process:
        assert line(process) == "captured"
        over_ns = int(line(process).split()[1])
        code = process.wait(WAIT_S)
        spent_s = (time.monotonic_ns() - over_ns) / 1e9
        assert process.stderr is not None
        errors = process.stderr.read()
    assert code == 0, errors
    assert "Traceback" not in errors, errors
    return spent_s


@pytest.mark.parametrize("how", HOWS)
def test_f36_the_end_of_a_program_takes_two_seconds_more_at_most(tmp_path: Path, how: str) -> None:
    with figures.run(f"F36 {how}") as run, FaultProxy() as proxy:
        mine = settings(tmp_path, Server(proxy, how).url)
        bare_s = statistics.median(
            end_s("return", tmp_path, 100, AFTERWORD_DISABLED="1", **mine) for _ in range(3)
        )
        spent_s = [end_s("return", tmp_path, 20_000, **mine)]
        spent_s += [end_s("mid retry" if how == "refuses" else "return", tmp_path, 500, **mine)]
        run.loops = len(spent_s)
        run.more.update(bare_s=round(bare_s, 2), exit_most_s=round(max(spent_s), 2))
        assert max(spent_s) - bare_s < 2.0 + SLACK_S
        segments = [*(tmp_path / "spool").rglob("*.seg")]
        assert sum(path.stat().st_size for path in segments) > 20_500 * 300
