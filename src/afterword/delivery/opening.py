"""A recorder with its spool, as the configuration names them (layer 2)."""

from __future__ import annotations

from functools import partial

from afterword.delivery.faults import Faults
from afterword.delivery.files import RealFiles
from afterword.delivery.folder import prepare, spool_folder
from afterword.delivery.recorder import Recorder
from afterword.delivery.spool import Spool
from afterword.stores.protocol import Store


def open_recorder(
    store: Store, faults: Faults, *, url: str, project: str, spool: str | None = None
) -> Recorder:
    """The recorder of one client. `spool` is the folder that the configuration names.

    No folder is made before something has to go there.
    """
    folder = folder_of(store, url=url, project=project, spool=spool)
    if folder is None:
        return Recorder(store, faults)
    is_beside_store = folder.startswith(f"{getattr(store, 'path', None)}-")
    ready = partial(prepare, folder, spool, parents=not is_beside_store)
    return Recorder(store, faults, Spool(RealFiles(folder), prepare=ready, on_fault=faults.note))


def folder_of(store: Store, *, url: str, project: str, spool: str | None = None) -> str | None:
    """Where the spool of such a client is; None for a store that is memory only."""
    return spool_folder(url, project, given=spool, path=getattr(store, "path", None))
