"""The store: can it be opened, written, read and cleaned again (layer 6)."""

from __future__ import annotations

from collections.abc import Mapping

from afterword.cli.doctor.findings import Broken, Findings
from afterword.client import Client
from afterword.configuration import Configuration
from afterword.errors import AfterwordError
from afterword.stores import open_store

__all__ = ["check_store", "settings_of"]

_MASK = "********"
_PROBE_USER = "afterword-doctor"
_FLUSH_S = 10.0
_PROBE_PROJECT = "afterword-doctor"


def settings_of(configuration: Configuration, environment: Mapping[str, str]) -> dict[str, str]:
    """The configuration as text, every secret masked."""
    key_ids = ", ".join(f"{key_id}:{_MASK}" for key_id, _ in configuration.keyring)
    return {
        "AFTERWORD_URL": open_store(configuration.url, api_key=configuration.api_key).url,
        "project": configuration.project,
        "AFTERWORD_SPOOL": configuration.spool or "not set; beside an embedded store, else by user",
        "AFTERWORD_DURABILITY": configuration.durability,
        "AFTERWORD_API_KEY": _MASK if configuration.api_key else "not set",
        "AFTERWORD_SECRET": key_ids or "not set; one is made and kept in an embedded store",
        "AFTERWORD_DISABLED": environment.get("AFTERWORD_DISABLED") or "not set",
    }


def check_store(client: Client, findings: Findings) -> None:
    """Open the store; write, read and erase one probe.

    Raises:
        Broken: one of these does not work.
    """
    store = client.store
    with findings.trying("store"):
        try:
            store.open()
            facts = ", ".join(f"{name} {value}" for name, value in store.facts().items())
        except AfterwordError as error:
            raise Broken(f"{error}; is AFTERWORD_URL right, and the store running?") from error
        findings.add("store", f"{store.url} ({facts})")
    with findings.trying("probe"):
        try:
            data_id = client.log(
                inputs={"probe": True}, output="probe", user=_PROBE_USER, project=_PROBE_PROJECT
            )
            given = client.feedback(data_id=data_id, type="rating", value="good", user=_PROBE_USER)
            if given.pending:
                raise Broken(
                    "the store takes no writes now, so a probe waits in the spool; is its disk full, "
                    "is it locked, or does the key lack a scope?"
                )
            found = client.get(data_id)
            if found is None or not found.feedback:
                raise Broken("a probe was written and could not be read back")
            # Not with the client's own `erase`, which clears up in the spool as well.
            client.flush(_FLUSH_S)
            store.erase(_PROBE_USER)
            if client.get(data_id) is not None:
                raise Broken("a probe was erased and is still there")
        except AfterwordError as error:
            raise Broken(f"a probe could not be written and read: {error}") from error
        findings.add("probe", "written, read and erased")
    status = client.status()
    counts = ", ".join(f"{name} {getattr(status, name)}" for name in status.__struct_fields__)
    findings.add("counters", counts)
