"""Humanloop's exports come along with their IDs, times, users and feedback, once."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from afterword import Client
from afterword.cli.program import program
from afterword.errors import ConfigError

LOG: dict[str, Any] = {
    "id": "data_d1",
    "project": "Support Bot",
    "project_id": "pr_p1",
    "config": {
        "id": "config_c1", "type": "model", "name": "main", "model": "gpt-4o",
        "provider": "openai",
    },
    "inputs": {"question": "How should I think about competition?"},
    "messages": [{"role": "user", "content": "How?"}],
    "output": "Talk to your users.",
    "user": "user_1",
    "session_id": "sesh_1",
    "created_at": "2024-10-08T11:30:00.000000",
    "duration": 1.5,
    "prompt_tokens": 12,
    "output_tokens": 5,
    "prompt_cost": 0.001,
    "output_cost": 0.002,
    "reference_id": "mine-1",
    "metadata": {"tier": "gold"},
    "feedback": [
        {"id": "ann_0", "type": "rating", "value": "good", "user": "user_123456",
         "created_at": "2024-10-08T11:31:00.000000"},
        {"id": "ann_1", "type": "correction", "value": "Better.", "user": "user_123456"},
        {"id": "ann_2", "type": "issue", "value": "Wrong tone"},
        {"id": "ann_3", "type": "stars", "value": 4},
        {"id": "ann_4", "type": "flag", "value": True},
    ],
}  # fmt: skip
V5: dict[str, Any] = {
    "id": "log_v5",
    "prompt": {
        "id": "pr_x", "path": "demo/answers", "name": "answers", "model": "claude",
        "provider": "anthropic", "version_id": "prv_1",
    },
    "inputs": {"q": 1},
    "messages": [],
    "output": None,
    "output_message": {"role": "assistant", "content": "Hi"},
    "start_time": "2025-05-01T10:00:00Z",
    "created_at": "2025-05-01T10:00:01Z",
    "provider_latency": 0.7,
    "trace_parent_id": "log_parent",
    "evaluator_logs": [
        {"id": "ev_1", "evaluator": {"path": "demo/rating", "spec": {"evaluator_type": "human"}},
         "judgment": "bad", "user": "u1", "created_at": "2025-05-01T10:05:00Z"},
        {"id": "ev_2", "evaluator": {"path": "demo/tags", "spec": {"evaluator_type": "human"}},
         "judgment": ["a", "b"], "user": "u1"},
        {"id": "ev_3", "evaluator": {"path": "demo/length", "spec": {"evaluator_type": "python"}},
         "judgment": 3.5},
        {"id": "ev_4", "evaluator": {"path": "demo/rating"}, "judgment": None},
    ],
}  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'afterword.db'}"


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.close()


def imported(url: str, *paths: Path, options: tuple[str, ...] = ()) -> Result:
    files = [str(path) for path in paths]
    return CliRunner().invoke(program, ["import", "humanloop", "--url", url, *options, *files])


def page(tmp_path: Path, *records: Any) -> Path:
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"page": 0, "size": 50, "total": 1, "records": records}, indent=1))
    return path


def test_a_log_of_v4_comes_along_whole(client: Client, url: str, tmp_path: Path) -> None:
    result = imported(url, page(tmp_path, LOG))
    assert (result.exit_code, result.output) == (0, "1 generations and 5 feedback imported\n")
    kept = client.get("data_d1")
    assert kept is not None
    assert (kept.project, kept.name, kept.version) == ("Support Bot", "main", "config_c1")
    assert (kept.model, kept.provider) == ("gpt-4o", "openai")
    assert kept.inputs == LOG["inputs"]
    assert kept.messages == LOG["messages"]
    assert (kept.output, kept.user, kept.session) == ("Talk to your users.", "user_1", "sesh_1")
    assert kept.created_at.isoformat() == "2024-10-08T11:30:00+00:00"
    assert kept.duration_ms == 1500
    assert kept.usage is not None
    assert (kept.usage.input_tokens, kept.usage.output_tokens) == (12, 5)
    assert kept.cost_usd == pytest.approx(0.003)
    assert kept.metadata == {"tier": "gold", "reference_id": "mine-1"}
    said = {feedback.type: feedback for feedback in kept.feedback}
    assert {name: feedback.value for name, feedback in said.items()} == {
        "rating": "good", "correction": "Better.", "issue": ["Wrong tone"], "stars": 4,
        "flag": True,
    } or {name: feedback.value for name, feedback in said.items()} == {
        "rating": "good", "correction": "Better.", "issue": "Wrong tone", "stars": 4, "flag": True,
    }  # fmt: skip
    assert said["rating"].id == "ann_0"
    assert said["rating"].user == "user_123456"
    assert said["rating"].created_at.isoformat() == "2024-10-08T11:31:00+00:00"
    assert said["correction"].created_at == kept.created_at
    found = client.get("mine-1")
    assert found is not None
    assert found.id == "data_d1"


def test_a_log_of_v5_comes_along_with_its_judgments(
    client: Client, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "logs.jsonl"
    path.write_text(json.dumps(V5) + "\n\n" + json.dumps({**V5, "id": "log_2", "prompt": None}))
    result = imported(url, path)
    assert result.exit_code == 0, result.output
    kept = client.get("log_v5")
    assert kept is not None
    assert (kept.project, kept.model, kept.version) == ("demo/answers", "claude", "prv_1")
    assert kept.output == {"role": "assistant", "content": "Hi"}
    assert kept.parent_id == "log_parent"
    assert kept.duration_ms == 700
    said = {feedback.type: feedback for feedback in kept.feedback}
    assert said["rating"].value == "bad"
    assert said["length"].source == "code"
    assert {feedback.value for feedback in kept.feedback if feedback.type == "tags"} == {"a", "b"}
    assert client.get("log_2") is not None


def test_a_second_import_changes_nothing(client: Client, url: str, tmp_path: Path) -> None:
    paths = (page(tmp_path, LOG), tmp_path / "v5.json")
    paths[1].write_text(json.dumps([V5]))
    assert imported(url, *paths).exit_code == 0
    before = [client.get(data_id) for data_id in ("data_d1", "log_v5")]
    assert imported(url, *paths).exit_code == 0
    assert [client.get(data_id) for data_id in ("data_d1", "log_v5")] == before
    assert before[0] is not None
    assert len(before[0].feedback_history) == 5


def test_csv_is_read_with_json_in_its_cells(client: Client, url: str, tmp_path: Path) -> None:
    path = tmp_path / "logs.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["id", "project", "inputs", "output", "config.model", "created_at", "feedback",
             "prompt_tokens"]
        )  # fmt: skip
        writer.writerow(
            ["data_csv", "p", '{"q": "a\nb"}', "two\nlines", "gpt-4o", "2024-01-02T03:04:05",
             '[{"type": "rating", "value": "good"}]', "7"]
        )  # fmt: skip
        writer.writerow(["data_short"])
    result = imported(url, path)
    assert result.exit_code == 1
    assert f"{path}:5: the row has more or fewer cells" in result.output
    kept = client.get("data_csv")
    assert kept is not None
    assert (kept.inputs, kept.output, kept.model) == ({"q": "a\nb"}, "two\nlines", "gpt-4o")
    assert [feedback.value for feedback in kept.feedback] == ["good"]


def test_each_record_that_cannot_be_read_is_told_with_its_line(
    client: Client, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "logs.jsonl"
    lines = [
        json.dumps({**LOG, "id": "data_1", "feedback": []}),
        "{broken",
        "[1]",
        json.dumps({"output": "no id"}),
        json.dumps({**LOG, "id": "not an id!"}),
        json.dumps({**LOG, "id": "data_6", "created_at": "yesterday", "feedback": []}),
        json.dumps({**LOG, "id": "data_7", "feedback": [{"type": "rating", "value": {"a": 1}}]}),
    ]
    path.write_text("\n".join(lines))
    result = imported(url, path)
    assert result.exit_code == 1
    for line in (2, 3, 4, 5, 6, 7):
        assert f"{path}:{line}: " in result.output, result.output
    assert "2 generations and 0 feedback imported" in result.output
    assert client.get("data_1") is not None
    assert client.get("data_7") is not None


def test_a_page_that_is_cut_short_gives_what_is_whole(
    client: Client, url: str, tmp_path: Path
) -> None:
    path = page(tmp_path, LOG, {**LOG, "id": "data_d2", "feedback": []})
    text = path.read_text()
    path.write_text(text[: text.index("data_d2")])
    result = imported(url, path)
    assert result.exit_code == 1
    assert "no JSON from here on" in result.output
    assert client.get("data_d1") is not None


def test_a_project_can_be_given_and_its_name_is_checked(
    client: Client, url: str, tmp_path: Path
) -> None:
    path = page(tmp_path, LOG)
    assert isinstance(
        imported(url, path, options=("--project", "bad\nname")).exception, ConfigError
    )
    assert imported(url, path, options=("--project", "archive")).exit_code == 0
    kept = client.get("data_d1")
    assert kept is not None
    assert kept.project == "archive"


def test_many_records_of_many_projects_keep_their_feedback(
    client: Client, url: str, tmp_path: Path
) -> None:
    records = [
        {**LOG, "id": f"data_{number}", "project": f"p{number % 3}", "reference_id": None}
        for number in range(450)
    ]
    for number, record in enumerate(records):
        record["feedback"] = [
            {**LOG["feedback"][0], "id": f"ann_{number}", "value": f"label {number % 7}"}
        ]
    result = imported(url, page(tmp_path, *records))
    assert result.exit_code == 0, result.output
    assert "450 generations and 450 feedback imported" in result.output
    found = client.generations("p1", feedback={"rating": "label 3"}, limit=500).items
    wanted = [n for n in range(450) if n % 3 == 1 and n % 7 == 3]
    assert len(found) == len(wanted)
