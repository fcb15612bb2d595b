"""Which spool a client gets, and whose a folder is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from afterword import Client
from afterword.delivery.contents import Contents, contents_of
from afterword.delivery.files import RealFiles
from afterword.delivery.opening import LABEL, folder_of, projects_beside
from afterword.stores import open_store


def test_a_password_that_changes_leaves_the_spool_where_it_was(tmp_path: Path) -> None:
    folders = {
        folder_of(open_store(f"postgresql://me:{password}@db/x"), "p", str(tmp_path))
        for password in ("old", "new")
    }
    assert len(folders) == 1
    assert folders != {folder_of(open_store("postgresql://me:old@db/y"), "p", str(tmp_path))}


def test_nothing_is_made_before_something_has_to_wait(tmp_path: Path) -> None:
    client = Client(f"sqlite:///{tmp_path / 'a.db'}", spool=str(tmp_path / "spool"))
    client.log(output="x")
    assert client.flush(20)
    client.status()
    client.close()
    assert not (tmp_path / "spool").exists()


def test_a_folder_of_folders_says_in_each_whose_it_is_without_a_secret(tmp_path: Path) -> None:
    url = "postgresql://me:hidden-word@127.0.0.1:9/x"
    for project in ("b", "a", "b"):
        client = Client(url, project, spool=str(tmp_path))
        assert client.recorder.spool.is_on_disk
        client.close()
    other = Client("http://127.0.0.1:9", "c", spool=str(tmp_path))
    assert other.recorder.spool.is_on_disk
    other.close()
    (tmp_path / "no-folder").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / LABEL).write_text("{")
    assert projects_beside(open_store(url), "z", str(tmp_path)) == ["a", "b"]
    folder = folder_of(open_store(url), "a", str(tmp_path))
    assert folder is not None
    label = Path(folder, LABEL).read_text()
    assert json.loads(label)["project"] == "a"
    assert "hidden-word" not in label


def test_a_spool_beside_a_database_needs_no_label(tmp_path: Path) -> None:
    client = Client(f"sqlite:///{tmp_path / 'a.db'}")
    assert client.recorder.spool.is_on_disk
    client.close()
    assert os.listdir(tmp_path / "a.db-spool") == []
    assert projects_beside(client.store, "default") == []


def test_where_there_is_no_folder_there_are_no_projects(tmp_path: Path) -> None:
    store = open_store("http://127.0.0.1:9")
    assert projects_beside(store, "p", str(tmp_path / "nowhere")) == []
    assert projects_beside(open_store("memory:"), "p") == []


def test_the_contents_are_counted_by_kind(tmp_path: Path) -> None:
    files = RealFiles(str(tmp_path))
    assert contents_of(None) == contents_of(RealFiles(str(tmp_path / "nowhere"))) == Contents()
    for name, size_bytes in (("a.seg", 5), ("b.seg", 6), ("c.dead", 7), ("d.damaged", 8)):
        files.write(name, bytes(size_bytes))
    files.write(LABEL, b"{}")
    assert contents_of(files) == Contents(2, 11, 1, 1, 28)


@pytest.mark.parametrize("variable", ["argument", "environment"])
def test_the_folder_may_be_an_argument_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    given = str(tmp_path / "spool")
    if variable == "environment":
        monkeypatch.setenv("AFTERWORD_SPOOL", given)
    client = Client("http://127.0.0.1:9", spool=given if variable == "argument" else None)
    client.log(output="x")
    assert client.flush(20)
    assert client.status().spooled == 1
    (folder,) = (tmp_path / "spool").iterdir()
    assert contents_of(RealFiles(str(folder))).segments == 1
    client.close()
