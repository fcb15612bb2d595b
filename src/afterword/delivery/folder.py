"""Which folder a spool is in, and whether it may be used (layer 2).

A spool holds prompts and answers, so its folder is its owner's alone, and what somebody else could have
put there or could change is not used.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from urllib.parse import urlsplit

from afterword.errors import DeliveryError

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")
_NAME_CHARS = 40


def spool_folder(
    url: str,
    project: str,
    *,
    given: str | None = None,
    path: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> str | None:
    """The folder for the records of this store and project; None for a store that is memory only.

    `given` is the folder that the configuration names, `path` the file of an embedded store.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        return None
    if given is None and path is not None:
        return f"{path}-spool"
    where = given
    if where is None:
        state = environment.get("XDG_STATE_HOME", "")
        if not os.path.isabs(state):
            home = os.path.expanduser("~")
            state = os.path.join(home if os.path.isabs(home) else tempfile.gettempdir(), ".local")
            state = os.path.join(state, "state")
        where = os.path.join(state, "afterword", "spool")
    # One project's records must not go out with the key of another's.
    host = urlsplit(url).hostname if path is None else os.path.basename(path)
    digest = hashlib.sha256(f"{path or url}\n{project}".encode(errors="surrogatepass")).hexdigest()
    shown = _NOT_IN_NAMES.sub("-", f"{scheme}-{host or ''}")[:_NAME_CHARS].rstrip("-.")
    return os.path.join(os.path.abspath(where), f"{shown}-{digest[:12]}")


def prepare(folder: str, given: str | None = None, *, parents: bool = True) -> None:
    """Make the folder, mode 0700, or find that it is there and its owner's alone.

    `given` is the folder that the configuration names, when `folder` is one in it. Without `parents`,
    what it is to be in must be there.

    Raises:
        DeliveryError: it cannot be made, or it is a link, or others may write to it.
    """
    try:
        if given is not None:
            os.makedirs(given, mode=0o700, exist_ok=True)
            _check(os.path.abspath(given), may_be_shared=True)
        above = os.path.dirname(folder)
        if parents and not os.path.isdir(above):
            os.makedirs(above, mode=0o700, exist_ok=True)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        _check(folder, may_be_shared=False)
    except OSError as error:
        raise DeliveryError(
            f"the spool {folder} cannot be made: {error.strerror or error}"
        ) from error


def found(folder: str, given: str | None = None) -> bool:
    """Whether the folder is there, and is its owner's alone. Makes nothing; arguments as of `prepare`.

    Raises:
        DeliveryError: it is there and may not be used.
    """
    try:
        if given is not None:
            _check(os.path.abspath(given), may_be_shared=True)
        _check(folder, may_be_shared=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DeliveryError(
            f"the spool {folder} cannot be read: {error.strerror or error}"
        ) from error
    return True


def _check(folder: str, *, may_be_shared: bool) -> None:
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise DeliveryError(f"the spool {folder} is a link or no folder")
    if not hasattr(os, "geteuid"):
        return
    # Where others may add files but not remove those of ours, a folder of ours in it is safe.
    is_shared = may_be_shared and bool(found.st_mode & stat.S_ISVTX)
    if found.st_uid != os.geteuid() and not is_shared:
        raise DeliveryError(f"the spool {folder} belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_shared:
        raise DeliveryError(f"the spool {folder} can be written by other users; chmod 700 it")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise DeliveryError(f"the spool {folder} is not writable")
