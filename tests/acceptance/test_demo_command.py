"""`afterword demo` as a program: how it starts, refuses to start, asks once and ends."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import httpx
import pytest
from demo_process import Demo, demo_running, run_demo

from afterword import Client, Generation
from afterword.server.local_model import MODEL_NAME, LocalModel

QUESTION = "How should I think about competition for my startup?"


def found(client: Client, data_id: str) -> Generation:
    generation = client.get(data_id)
    assert generation is not None
    return generation


def test_the_start_says_what_runs_where(demo: Demo) -> None:
    assert f"{demo.url}/afterword/" in demo.printed
    assert MODEL_NAME in demo.printed
    assert demo.database.removeprefix("sqlite:///") in demo.printed


def test_a_port_in_use_exits_2_and_names_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_demo(tmp_path, "--port", str(port))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"afterword: port {port} on 127.0.0.1 is in use; choose another")
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_database_exits_2(tmp_path: Path) -> None:
    database = tmp_path / "kept.db"
    client = Client(f"sqlite:///{database}")
    client.log(inputs={"question": QUESTION})
    client.close()
    before = database.read_bytes()
    database.chmod(0o444)
    ended = run_demo(tmp_path, "--port", "0", "--url", "sqlite:///kept.db")
    assert ended.returncode == 2
    assert f"the database {database} is read-only" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///missing/a.db", "cannot open the database"),
        ("sqlite:///notes.txt", "no database"),
        ("nowhere:", "must begin with one of"),
    ],
)
def test_a_database_that_cannot_be_opened_exits_2(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "notes.txt").write_text("Notes about something else, and rather long ones. " * 50)
    ended = run_demo(tmp_path, "--port", "0", AFTERWORD_URL=url)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_once_asks_records_feedback_and_says_where_to_look(tmp_path: Path) -> None:
    ended = run_demo(tmp_path, "--once", QUESTION)
    assert (ended.returncode, ended.stderr) == (0, "")
    (data_id,) = re.findall(r"^Data ID +(\S+)$", ended.stdout, re.MULTILINE)
    assert f"/afterword/generations/{data_id}" in ended.stdout
    assert str(tmp_path / "afterword-demo.db") in ended.stdout

    client = Client(f"sqlite:///{tmp_path / 'afterword-demo.db'}")
    generation = found(client, data_id)
    client.close()
    assert generation.inputs == {"question": QUESTION}
    assert str(generation.output) in ended.stdout
    assert generation.user == "demo-user"
    assert [given.type for given in generation.feedback] == ["rating", "correction"]
    assert generation.feedback[0].value == "good"


def test_once_asks_any_openai_compatible_endpoint(tmp_path: Path, local_model: LocalModel) -> None:
    ended = run_demo(
        tmp_path,
        "--once",
        "Hello",
        OPENAI_BASE_URL=local_model.base_url,
        OPENAI_API_KEY=local_model.api_key,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    client = Client(f"sqlite:///{tmp_path / 'afterword-demo.db'}")
    (generation,) = client.generations().items
    client.close()
    assert generation.model == MODEL_NAME, "the first model that the endpoint lists"
    assert "Loaded" not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--once", " "], 2, "--once needs a question"),
        (["--once", "a", "--model", "m"], 2, "give --base-url or set OPENAI_API_KEY"),
        (["--once", "a", "--base-url", "localhost"], 2, "must begin with http://"),
        (["--once", "a", "--base-url", "http://127.0.0.1:1"], 2, "does not list its models"),
        (
            ["--once", "a", "--base-url", "http://127.0.0.1:1", "--model", "m"],
            1,
            "cannot be reached",
        ),
        (["--port", "many"], 2, "Invalid value for '--port'"),
        (["--prot", "1"], 2, "No such option"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    ended = run_demo(tmp_path, *arguments)
    assert ended.returncode == code
    assert said in ended.stderr
    assert ended.stderr.startswith("afterword: ")
    assert ended.stderr.count("\n") == 1


def test_a_record_made_just_before_the_end_is_kept(tmp_path: Path) -> None:
    with demo_running(tmp_path) as running:
        reply = httpx.post(f"{running.url}/chat", json={"message": "Hello"}, timeout=60)
    client = Client(running.database)
    generation = found(client, reply.headers["Afterword-Data-Id"])
    client.close()
    assert generation.status == "ok"
    assert os.stat(tmp_path / "afterword-demo.db").st_mode & 0o777 == 0o600
