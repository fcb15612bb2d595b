"""Where a spool is, and which folders are not used: what others own, could write to, or have linked."""

from __future__ import annotations

import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterword.delivery.folder import found, prepare, spool_folder
from afterword.errors import DeliveryError

NOBODY = 65_534
SERVER = "https://afterword.example/"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def loose_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def in_another_user_s_process(work: Callable[[], None]) -> str:
    """What `work` raises in a process of another user when this one is root's; else in one of ours."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Since Python 3.12, for what a child of many threads might do, and this one does not.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
            os.write(writer, b"nothing")
        except BaseException as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        told = said.read().decode()
    os.waitpid(child, 0)
    return told


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder of ours that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


# --- where it is -------------------------------------------------------------------------------


def test_a_file_s_spool_is_beside_it_whatever_the_project() -> None:
    folders = {
        spool_folder("sqlite:////a/b.db", project, path="/a/b.db", environment={})
        for project in ("p", "q")
    }
    assert folders == {"/a/b.db-spool"}


def test_memory_has_none() -> None:
    assert spool_folder("memory:", "p", given="/somewhere") is None


def test_a_server_s_is_in_the_user_s_state_folder() -> None:
    folder = spool_folder(SERVER, "p", environment={"XDG_STATE_HOME": "/state"})
    assert folder is not None
    assert os.path.dirname(folder) == "/state/afterword/spool"
    assert os.path.basename(folder).startswith("https-afterword.example-")


@pytest.mark.parametrize("state", [None, "", "not/absolute"])
def test_without_a_state_folder_it_is_below_the_home(
    state: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    environment = {} if state is None else {"XDG_STATE_HOME": state}
    folder = spool_folder(SERVER, "p", environment=environment)
    assert folder is not None
    assert os.path.dirname(folder) == "/home/ann/.local/state/afterword/spool"


def test_without_a_home_it_is_below_the_folder_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    folder = spool_folder(SERVER, "p", environment={})
    assert folder is not None
    assert folder.startswith(os.path.join(tempfile.gettempdir(), ".local", "state"))


def test_in_a_folder_that_was_named_each_store_and_project_has_its_own() -> None:
    folders = [
        spool_folder(url, project, given="spools", path=path)
        for url, path in ((SERVER, None), ("https://other", None), ("sqlite:///a.db", "/a.db"))
        for project in ("p", "q")
    ]
    assert len(set(folders)) == 6
    assert {os.path.dirname(folder or "") for folder in folders} == {os.path.abspath("spools")}


@pytest.mark.parametrize(
    "url", ["https://[::1]:80/", "postgresql:///x", "https://" + "a" * 300, "https://ü../\ud800"]
)
def test_its_name_is_one_that_every_file_system_takes(url: str) -> None:
    folder = spool_folder(url, "a/../b", given="/spools")
    assert folder is not None
    name = os.path.basename(folder)
    assert os.path.dirname(folder) == "/spools"
    assert len(name) < 60
    assert name.isascii()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")


# --- whether it may be used --------------------------------------------------------------------


@pytest.mark.usefixtures("loose_umask")
def test_what_is_made_is_its_owner_s_alone(tmp_path: Path) -> None:
    given = tmp_path / "state" / "spool"
    folder = given / "https-x-1"
    assert not found(str(folder), str(given))
    prepare(str(folder), str(given))
    assert (mode(folder), mode(given)) == (0o700, 0o700)
    prepare(str(folder), str(given))
    assert found(str(folder), str(given))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "spool").symlink_to(tmp_path / "elsewhere")
    for look in (prepare, found):
        with pytest.raises(DeliveryError, match="a link or no folder"):
            look(str(tmp_path / "spool"))


def test_a_link_to_nothing_is_not_made_good(tmp_path: Path) -> None:
    (tmp_path / "spool").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DeliveryError, match="a link or no folder"):
        prepare(str(tmp_path / "spool"))
    assert not (tmp_path / "nowhere").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no folder")
    with pytest.raises(DeliveryError, match="a link or no folder"):
        prepare(str(tmp_path / "spool"))
    with pytest.raises(DeliveryError, match="cannot be made"):
        prepare(str(tmp_path / "spool" / "below"))
    assert not found(str(tmp_path / "spool" / "below"))


@pytest.mark.parametrize("open_to", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, open_to: int) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(open_to)
    for look in (prepare, found):
        with pytest.raises(DeliveryError, match="written by other users; chmod 700"):
            look(str(folder))


def test_a_folder_that_others_may_only_read_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o755)
    prepare(str(folder))
    assert found(str(folder))


def test_a_shared_folder_may_hold_one_of_ours_when_others_cannot_remove_it(tmp_path: Path) -> None:
    given = tmp_path / "shared"
    given.mkdir()
    given.chmod(0o1777)
    prepare(str(given / "ours"), str(given))
    assert mode(given / "ours") == 0o700
    given.chmod(0o777)
    with pytest.raises(DeliveryError, match="written by other users"):
        prepare(str(given / "ours"), str(given))


def test_another_user_s_folder_is_not_used(public: Path) -> None:
    folder = Path("/") if os.geteuid() else public / "spool"
    if not os.geteuid():
        folder.mkdir(mode=0o755)
    for look in (prepare, found):
        told = in_another_user_s_process(lambda look=look: look(str(folder)))  # type: ignore[misc]
        assert told == f"the spool {folder} belongs to another user"


def test_another_user_makes_one_of_their_own_where_all_may(public: Path) -> None:
    public.chmod(0o1777)
    told = in_another_user_s_process(lambda: prepare(str(public / "theirs"), str(public)))
    assert told == "nothing"
    assert mode(public / "theirs") == 0o700


def test_in_a_volume_that_all_may_write_to_a_folder_is_made_and_its_root_refused(
    public: Path,
) -> None:
    public.chmod(0o2777)
    given = str(public / "afterword")
    told = in_another_user_s_process(lambda: prepare(str(public / "afterword" / "spool"), given))
    assert told == "nothing"
    assert mode(public / "afterword") & 0o777 == 0o700
    told = in_another_user_s_process(lambda: prepare(str(public / "spool"), str(public)))
    assert "belongs to another user" in told or "written by other users" in told


def test_nobody_makes_one_where_they_may_not_write(public: Path) -> None:
    place = Path("/proc") if os.geteuid() else public
    told = in_another_user_s_process(lambda: prepare(str(place / "theirs" / "spool")))
    assert "cannot be made" in told


def test_a_spool_beside_a_database_waits_for_the_database_s_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "afterword.db-spool"
    with pytest.raises(DeliveryError, match="cannot be made"):
        prepare(str(folder), parents=False)
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    prepare(str(folder), parents=False)
    assert folder.is_dir()
