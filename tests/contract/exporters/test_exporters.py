"""Every format keeps the same contract. A format is found by its file, and needs a reader here."""

from __future__ import annotations

import csv
import io
import json
import pkgutil
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword import Client
from afterword.codec import to_json
from afterword.errors import InvalidInput
from afterword.feedback.rows import FeedbackRow
from afterword.insight import exporters
from afterword.insight.exporters import exporter, format_names
from afterword.insight.exporting import KINDS, export, records
from afterword.stores import Store, open_store
from afterword.stores.protocol import Query
from afterword.stores.rows import GenerationRow

sys.path.append(str(Path(__file__).parents[2] / "unit"))

import hostile  # noqa: E402

SIGNS = ["=", "+", "-", "@", "\t", "\r", "\n"]
FORMULAS = [
    *(sign + "cmd|' /C calc'!A0" for sign in SIGNS),
    *(blank + "=1+1" for blank in (" ", "  \t", "\u00a0", "\u3000", "\ufeff", "\u200b", "\u2029", "\U000e0041")),
    "＝1+1", "＋1", "－1", "＠SUM(1)", "﹢1", "﹣1", "﹦1+1", "﹫SUM(1)", "⁺1",
    '=HYPERLINK("http://evil.invalid","x")', '"=1+1', '",=1+1,"', '"\r\n=1+1,"', "'=1+1",
    "-5", "+5", "=", "\x00=1+1", "\x1b=1+1", " \r\n =1+1",
    "\ud800=1+1", "=\udfff", "a\x00b\x1b[31m\x7f\x9b", "W" * 3_000, "", " ", "é😀", "<script>alert(1)</script>",
]  # fmt: skip


def read_jsonl(data: bytes) -> list[dict[str, Any]]:
    assert data.endswith(b"\n") or not data
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def read_csv(data: bytes) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {"csv": read_csv, "jsonl": read_jsonl}


def rfc4180(text: str) -> list[list[tuple[str, bool]]]:
    """A second reading of CSV, from the grammar of RFC 4180: cells, and whether they were quoted."""
    rows: list[list[tuple[str, bool]]] = []
    row: list[tuple[str, bool]] = []
    place = 0
    while place < len(text):
        found = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)').match(text, place)
        assert found
        is_quoted = found[1] is not None
        row.append((found[1].replace('""', '"') if is_quoted else found[2], is_quoted))
        place = found.end()
        if text[place] == ",":
            place += 1
            continue
        assert text[place : place + 2] == "\r\n"
        rows.append(row)
        row, place = [], place + 2
    assert not row
    return rows


def computes(cell: str) -> bool:
    """Whether a spreadsheet may take a text for a formula, by the least of what any of them does."""
    shown = [
        char
        for char in cell
        if not char.isspace() and unicodedata.category(char) not in ("Cf", "Cc")
    ]
    signs = unicodedata.normalize("NFKC", "".join(shown[:1]))[:1]
    return cell[:1] in SIGNS or (signs != "" and signs in "=+-@")


def storable(text: str) -> str:
    """The text as a column of text has it; in JSON, half a character stays what it is."""
    return text.encode("utf-8", "backslashreplace").decode()


def filled(text: str) -> Store:
    """A store with one generation and two statements that have `text` wherever text may stand."""
    store, shown = open_store("memory:"), storable(text)
    row = GenerationRow(id="g", project=shown, created_at=1, cost_usd=-0.5, duration_ms=2.0)
    for column in (
        "name", "version", "parent_id", "root_id", "session", "user", "status", "model",
        "provider", "trace_id", "span_id",
    ):  # fmt: skip
        setattr(row, column, shown)
    for column in ("inputs", "output"):
        setattr(row, column, to_json(text))
    row.messages = to_json([{"role": text, "content": text}])
    row.error = to_json({"type": text, "message": text})
    row.tags, row.metadata = to_json([text]), to_json({text: text})
    said = [
        FeedbackRow(
            id=f"f{number}", project=shown, data_id="g", type=kind, label="", several=False,
            value=to_json(text), sentiment=shown, signal=shown, user=shown, subject=shown,
            rater=shown, source=shown, comment=to_json(text), metadata=to_json({text: [text]}), created_at=number,
            received_at=number, unset=False,
        )
        for number, kind in enumerate(["correction", shown])
    ]  # fmt: skip
    store.write([row], said)
    return store


def test_every_format_in_the_folder_is_known_and_read() -> None:
    files = {found.name for found in pkgutil.iter_modules(exporters.__path__)}
    assert set(format_names()) == files == set(READERS)
    with pytest.raises(InvalidInput, match="csv, jsonl"):
        exporter("xlsx")


@pytest.mark.parametrize("name", format_names())
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_has_a_record_for_each_and_a_field_for_each_column(name: str, kind: str) -> None:
    store = filled("plain")
    wanted = list(records(store, kind, Query()))
    read = READERS[name](b"".join(export(store, kind, name, Query())))
    assert len(read) == len(wanted) == {"feedback": 2}.get(kind, 1)
    assert [tuple(record) for record in read] == [KINDS[kind].columns] * len(wanted)


@pytest.mark.parametrize("name", format_names())
def test_a_file_is_made_record_by_record(name: str) -> None:
    taken = 0

    def endless() -> Iterator[dict[str, int]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"n": taken}

    pieces = exporter(name).write(["n"], endless())
    for _ in range(5):
        next(pieces)
    assert taken <= 5


@pytest.mark.parametrize("text", FORMULAS, ids=lambda text: ascii(text)[:20])
@pytest.mark.parametrize("kind", KINDS)
def test_no_cell_of_a_csv_file_computes(kind: str, text: str) -> None:
    data = b"".join(export(filled(text), kind, "csv", Query()))
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", data)
    assert data.count(b"\n") == data.count(b"\r\n") or "\n" in text
    rows = rfc4180(data.decode())
    assert [[cell for cell, _ in row] for row in rows] == list(
        csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    )
    assert [cell for cell, _ in rows[0]] == list(KINDS[kind].columns)
    assert {len(row) for row in rows} == {len(KINDS[kind].columns)}
    for cell, is_quoted in (found for row in rows for found in row):
        if is_quoted:
            assert not computes(cell), ascii(cell)
        else:
            assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", cell)


@given(
    st.text(alphabet=st.sampled_from("=+-@\t\r\n\"', ;a＝﹣⁺\ufeff\u200b\x00\ud800"), max_size=8)
)
def test_no_text_at_all_computes_in_a_cell(text: str) -> None:
    data = b"".join(exporter("csv").write(["a", "b"], [{"a": text, "b": 1}]))
    ((cell, is_quoted), other) = rfc4180(data.decode())[1]
    assert is_quoted
    assert not computes(cell)
    assert other == ("1", False)


def test_numbers_stay_numbers_and_what_is_nested_is_compact_json() -> None:
    given_: list[tuple[Any, str]] = [
        (-5, "-5"),
        (0.25, "0.25"),
        (msgspec.Raw(b"-5"), "-5"),
        (msgspec.Raw(b"1e3"), "1000.0"),
        (msgspec.Raw(b'"-5"'), '"\'-5"'),
        (msgspec.Raw(b"1" * 5_000), f'"{"1" * 5_000}"'),
        (msgspec.Raw(b'{"a":[1,"="]}'), '"{""a"":[1,""=""]}"'),
        (True, '"true"'),
        (msgspec.Raw(b"null"), '""'),
        (None, '""'),
        (float("inf"), '"inf"'),
    ]
    for value, cell in given_:
        _, line = exporter("csv").write(["a"], [{"a": value}])
        assert line.decode() == f"{cell}\r\n"


@pytest.mark.parametrize("text", FORMULAS, ids=lambda text: ascii(text)[:20])
def test_json_lines_read_back_equal(text: str) -> None:
    store, shown = filled(text), storable(text)
    (read,) = read_jsonl(b"".join(export(store, "generations", "jsonl", Query())))
    assert read["name"] == read["user"] == read["project"] == shown
    assert read["inputs"] == read["error"]["message"] == text
    assert (read["metadata"], read["tags"]) == ({text: text}, [text])
    assert [said["comment"] for said in read["feedback"]] == [text, text]
    (pair,) = read_jsonl(b"".join(export(store, "corrections", "jsonl", Query())))
    assert (pair["inputs"], pair["output"], pair["correction"]) == (text, text, text)


def test_no_character_ends_a_line_of_json_but_the_line_feed() -> None:
    text = "".join(map(chr, [*range(0x300), *range(0x2000, 0x2070), 0xFEFF, 0x1F600]))
    data = b"".join(export(filled(text), "generations", "jsonl", Query()))
    assert len(data.decode().splitlines()) == 1
    (read,) = read_jsonl(data)
    assert read["name"] == read["output"] == text


def test_what_was_posted_over_several_lines_is_one_line() -> None:
    store = open_store("memory:")
    store.write(
        [
            GenerationRow(id="a", project="p", created_at=2, output='{\r\n "a" :\n 1.50}'),
            GenerationRow(id="b", project="p", created_at=1, output='["\\ud800",\n1.50]'),
        ],
        [],
    )
    read = read_jsonl(b"".join(export(store, "generations", "jsonl", Query())))
    assert [record["output"] for record in read] == [{"a": 1.5}, ["\ud800", 1.5]]
    cells = read_csv(b"".join(export(store, "generations", "csv", Query())))
    assert cells[0]["output"] == '{"a":1.50}'


@pytest.mark.parametrize("name", format_names())
def test_objects_that_must_not_be_touched_are_exported_untouched(name: str) -> None:
    client = Client("memory:", "p")
    hostile.CALLS.clear()
    for untouchable in hostile.untouchables():
        client.log(inputs={"it": untouchable}, output=untouchable)
    client.recorder.flush(10)
    read = READERS[name](b"".join(export(client.store, "generations", name, Query())))
    client.close()
    assert len(read) == len(hostile.untouchables())
    assert hostile.CALLS == []
