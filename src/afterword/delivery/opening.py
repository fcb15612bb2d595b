"""A recorder with its spool, as the configuration names them (layer 2)."""

from __future__ import annotations

import os

import msgspec

from afterword.delivery.faults import Faults
from afterword.delivery.files import RealFiles
from afterword.delivery.folder import prepare, spool_folder
from afterword.delivery.recorder import Recorder
from afterword.delivery.spool import Spool
from afterword.errors import DeliveryError
from afterword.stores.protocol import Store

#: In a folder of folders each says so in this file whose it is; a digest does not.
LABEL = "spool.json"


class _Label(msgspec.Struct):
    store: str
    project: str


def open_recorder(
    store: Store, faults: Faults, *, project: str, spool: str | None = None
) -> Recorder:
    """The recorder of one client. `spool` is the folder that the configuration names.

    No folder is made before something has to go there.
    """
    folder = folder_of(store, project, spool)
    if folder is None:
        return Recorder(store, faults)
    files = RealFiles(folder)
    is_beside_store = folder.startswith(f"{getattr(store, 'path', None)}-")

    def ready() -> None:
        prepare(folder, spool, parents=not is_beside_store)
        if not is_beside_store:
            _label(files, _Label(store.url, project))

    return Recorder(store, faults, Spool(files, prepare=ready, on_fault=faults.note))


def folder_of(store: Store, project: str, spool: str | None = None) -> str | None:
    """Where the spool of such a client is; None for a store that is memory only."""
    # A password that changes is still one of the same store, so its URL without one counts.
    return spool_folder(store.url, project, given=spool, path=getattr(store, "path", None))


def projects_beside(store: Store, project: str, spool: str | None = None) -> list[str]:
    """The projects of a store that have a spool of their own where this one's is, in order.

    Raises:
        DeliveryError: nobody can tell.
    """
    above = os.path.dirname(folder_of(store, project, spool) or "")
    found: set[str] = set()
    try:
        names = os.listdir(above) if above else []
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise DeliveryError(f"the spools in {above} cannot be listed: {error}") from error
    for name in names:
        try:
            label = msgspec.json.decode(
                RealFiles(os.path.join(above, name)).read(LABEL), type=_Label
            )
        except (OSError, msgspec.MsgspecError):
            continue
        if label.store == store.url:
            found.add(label.project)
    return sorted(found)


def _label(files: RealFiles, label: _Label) -> None:
    try:
        if files.size_bytes(LABEL) == 0:
            files.write(LABEL, msgspec.json.encode(label))
    except OSError:
        pass  # a full disk; the records matter more
