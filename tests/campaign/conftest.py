"""What the fault campaigns share: ledgers, a server with a proxy in front, and the figures at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from figures import LINES
from ledger import Ledger, Result, check, generation_key, held_in_sqlite, read
from processes import ClientProcess, ServerProcess

_numbers = itertools.count()

Together = Callable[[Iterable[str], Callable[["Rig", str], None]], None]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger")
    yield ledger
    ledger.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One `afterword serve` for all campaigns that leave it running."""
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        yield server


class Rig:
    """A project of its own on the shared server, a faulty way to it, and the programs that use it."""

    def __init__(self, server: ServerProcess, proxy: FaultProxy, folder: Path) -> None:
        self.server = server
        self.proxy = proxy
        self.folder = folder
        self.project = f"campaign-{next(_numbers)}"
        self.clients: list[ClientProcess] = []

    def client(self, url: str | None = None, **settings: str) -> ClientProcess:
        """One more program; all of a rig's share a ledger and a spool."""
        settings.setdefault("AFTERWORD_PROJECT", self.project)
        client = ClientProcess(url or self.proxy.url, self.folder, **settings)
        self.clients.append(client)
        return client

    def data_id(self, name: str) -> str:
        """What a client makes of a name."""
        return f"{self.project}-{name}"

    def check(self, but: Iterable[str] = ()) -> Result:
        """What the ledger says of what the server holds now; of generations with these names, it need not."""
        held = held_in_sqlite(self.server.database, self.project)
        entries = read(self.folder / "ledger")
        entries.acknowledged.difference_update(generation_key(self.data_id(name)) for name in but)
        return check(entries, held).require([client.told for client in self.clients])


@contextmanager
def rigged(server: ServerProcess, folder: Path) -> Iterator[Rig]:
    """A rig that ends what it started."""
    with FaultProxy(server.url) as proxy:
        rig = Rig(server, proxy, folder)
        try:
            yield rig
        finally:
            for client in rig.clients:
                client.close()


@pytest.fixture
def rig(server: ServerProcess, tmp_path: Path) -> Iterator[Rig]:
    with rigged(server, tmp_path) as rig:
        yield rig


@pytest.fixture
def together(server: ServerProcess, tmp_path: Path) -> Together:
    """Tries cases that mostly wait side by side, each with a rig of its own."""

    def one(case: Callable[[Rig, str], None], name: str, folder: Path) -> None:
        folder.mkdir()
        with rigged(server, folder) as rig:
            case(rig, name)

    def all_of(names: Iterable[str], case: Callable[[Rig, str], None]) -> None:
        with ThreadPoolExecutor(8) as pool:
            tried = {
                name: pool.submit(one, case, name, tmp_path / str(number))
                for number, name in enumerate(names)
            }
        failed = {name: error for name, done in tried.items() if (error := done.exception())}
        for name, error in failed.items():
            error.add_note(f"in the case {name!r}; failed: {list(failed)}")
            raise error

    return all_of


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LINES:
        terminalreporter.section("fault campaigns")
        for line in LINES:
            terminalreporter.write_line(line)
