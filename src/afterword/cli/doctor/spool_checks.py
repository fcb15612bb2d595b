"""The spool: where it is, whether it may be used, and what waits in it (layer 6)."""

from __future__ import annotations

import os

from afterword.cli.doctor.findings import Broken, Findings
from afterword.configuration import Configuration
from afterword.delivery.contents import Contents, contents_of
from afterword.delivery.files import RealFiles
from afterword.delivery.folder import found
from afterword.delivery.opening import folder_of
from afterword.errors import AfterwordError, ConfigError
from afterword.stores import open_store

__all__ = ["check_spool"]


def check_spool(settings: Configuration, findings: Findings) -> None:
    """Look into the spool and touch nothing. Later links can be tried whatever it finds.

    Call it before there is a client, which begins to deliver what waits.
    """
    try:
        with findings.trying("spool"):
            findings.add("spool", _seen(settings))
    except Broken:
        pass


def _seen(settings: Configuration) -> str:
    try:
        store = open_store(settings.url, api_key=settings.api_key)
    except ConfigError:
        raise
    except AfterwordError as error:
        raise Broken(str(error)) from error
    folder = folder_of(store, settings.project, settings.spool)
    store.close()
    if folder is None:
        return f"none on disk, for {store.url} keeps everything in memory"
    try:
        is_there = found(folder, settings.spool)
        if is_there:
            return f"{folder} ({_told(contents_of(RealFiles(folder)))})"
    except AfterwordError as error:
        raise Broken(
            f"{error}; until then there is no spool on disk, and little is kept while the store is away"
        ) from error
    except OSError as error:
        raise Broken(f"{folder} cannot be read: {error.strerror}") from error
    above = _nearest(folder)
    if not os.access(above, os.W_OK | os.X_OK):
        raise Broken(f"{folder} is not there and cannot be made, for {above} is not writable")
    return f"{folder} (nothing has had to wait yet)"


def _told(contents: Contents) -> str:
    told = (
        f"{contents.segment_bytes:,} bytes in {contents.segments} segments, "
        f"{contents.dead_letters} dead letters, {contents.damaged} damaged pieces"
    )
    if contents.dead_letters:
        told += "; see afterword dead-letters list"
    return told


def _nearest(folder: str) -> str:
    """The nearest folder above that is there."""
    above = os.path.dirname(folder)
    while not os.path.isdir(above) and os.path.dirname(above) != above:
        above = os.path.dirname(above)
    return above
