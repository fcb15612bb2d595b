"""Faults are counted and logged without what they hold; drafts become redacted rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from afterword.codec import from_json
from afterword.delivery.drafts import Draft, note_truncated
from afterword.delivery.faults import Faults
from afterword.redaction import Redactor
from afterword.snapshot import Packed, snapshot

SECRET = "sk-proj-" + "a1B2c3D4" * 4


def test_a_kind_of_fault_is_logged_once_a_minute_and_always_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = 1_000.0
    faults = Faults(clock_s=lambda: now_s)
    with caplog.at_level(logging.WARNING, "afterword"):
        for now_s in (1_000.0, 1_001.0, 1_059.9, 1_060.0, 1_061.0):
            faults.note("one kind", ValueError())
        faults.note("another kind", ValueError())
    assert faults.count == 6
    assert [record.getMessage() for record in caplog.records] == [
        "afterword: one kind failed with ValueError",
        "afterword: one kind failed with ValueError",
        "afterword: another kind failed with ValueError",
    ]


def test_the_text_of_an_error_is_in_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "afterword"):
        Faults().note("a kind", ValueError(SECRET))
    assert caplog.records
    assert SECRET not in caplog.text


class Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the log is full")


@pytest.fixture
def broken_log() -> Iterator[None]:
    handler = Broken()
    logging.getLogger("afterword").addHandler(handler)
    yield
    logging.getLogger("afterword").removeHandler(handler)


@pytest.mark.usefixtures("broken_log")
def test_a_log_that_fails_is_not_the_callers_trouble() -> None:
    faults = Faults()
    faults.note("a kind", ValueError())
    assert faults.count == 1


def draft(**values: object) -> Draft:
    packed = {name: snapshot(value) for name, value in values.items()}
    columns = {"id": "g", "project": "p", "created_at": 1, "name": "nul \0 and \ud800"}
    return Draft(columns, packed, Redactor())


def test_a_draft_becomes_a_row_of_redacted_json() -> None:
    row = draft(
        inputs={"key": SECRET}, output=["plain"], error={"type": "E", "message": SECRET}
    ).to_row()
    assert from_json(row.inputs or "") == {"key": "<redacted: api key>"}
    assert from_json(row.output or "") == ["plain"]
    assert from_json(row.error or "") == {"type": "E", "message": "<redacted: api key>"}
    assert row.name == "nul \\x00 and \\ud800"


def test_a_row_names_the_fields_that_were_cut() -> None:
    row = draft(inputs="x" * 3_000_000, output="short", metadata={"a": 1}).to_row()
    assert from_json(row.metadata or "") == {"a": 1, "truncated": ["inputs"]}
    assert draft(output="short").to_row().metadata is None


def test_metadata_that_says_what_was_cut_is_redacted_as_well() -> None:
    row = draft(inputs="x" * 3_000_000, metadata={"key": SECRET}).to_row()
    assert SECRET not in (row.metadata or "")


def test_metadata_without_cuts_stays_as_it_was() -> None:
    metadata = {"a": 1}
    assert note_truncated(metadata, {"inputs": Packed(b""), "output": "x"}) is metadata
    assert note_truncated(None, {"inputs": Packed(b"", truncated=True)}) == {
        "truncated": ["inputs"]
    }


def test_a_draft_weighs_what_it_holds_and_a_stub_next_to_nothing() -> None:
    for text in ("x" * 100_000, "x\ud800" * 50_000):
        heavy = draft(inputs=[text])
        assert heavy.size_bytes >= 100_000
        heavy.shed()
        assert heavy.size_bytes < 1_000
        assert heavy.to_row().inputs is None
