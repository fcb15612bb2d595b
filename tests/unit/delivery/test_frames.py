"""Frames: what was written is read again, and damage costs the record it is in, no other."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterword.delivery.frames import (
    MARK,
    MAX_BODY_BYTES,
    Spooled,
    body_of,
    frame,
    framed,
    record_of,
    scan,
)
from afterword.feedback.rows import FeedbackRow
from afterword.stores.rows import GenerationRow

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
maybe_texts = st.none() | texts
times = st.integers(-(2**63), 2**63 - 1)

generations = st.builds(
    GenerationRow,
    id=texts,
    project=texts,
    name=maybe_texts,
    user=maybe_texts,
    created_at=times,
    duration_ms=st.none() | st.floats(allow_nan=False),
    inputs=maybe_texts,
    output=maybe_texts,
    metadata=maybe_texts,
    input_tokens=st.none() | st.integers(0, 2**63 - 1),
)
statements = st.builds(
    FeedbackRow,
    id=texts, project=texts, data_id=texts, type=texts, label=texts, several=st.booleans(),
    value=maybe_texts, sentiment=maybe_texts, signal=texts, user=maybe_texts, subject=maybe_texts,
    rater=texts, source=texts, comment=maybe_texts, metadata=maybe_texts, created_at=times,
    received_at=times, unset=st.booleans(),
)  # fmt: skip
records = st.builds(
    Spooled, generation=st.none() | generations, feedback=st.lists(statements, max_size=3)
)


def found_in(data: bytes) -> list[Spooled]:
    return [record_of(found.body) for found in scan(data).frames]


def a_segment() -> tuple[list[Spooled], list[int], bytes]:
    """Some records, where the frame of each ends, and all of it as a segment."""
    some = [
        Spooled(generation=GenerationRow(id=f"g{number}", project="p", created_at=number))
        for number in range(3)
    ]
    frames = [frame(record) for record in some]
    ends = [sum(map(len, frames[: number + 1])) for number in range(len(frames))]
    return some, ends, b"".join(frames)


@given(st.lists(records, max_size=6))
@settings(deadline=None)
def test_what_was_written_is_read_again(written: list[Spooled]) -> None:
    data = b"".join(map(frame, written))
    found = scan(data)
    assert [record_of(one.body) for one in found.frames] == written
    assert found.gaps == []
    assert found.end == len(data)
    assert [record.records for record in written] == [
        (record.generation is not None) + len(record.feedback) for record in written
    ]


@given(st.binary(max_size=300), st.lists(records, min_size=1, max_size=3), st.binary(max_size=40))
@settings(deadline=None)
def test_any_bytes_before_and_after_are_gaps(
    before: bytes, written: list[Spooled], after: bytes
) -> None:
    if MARK[:1] in before[-len(MARK) :] or MARK in before + after:
        return  # that much of a mark may be taken for one, and cost the record it belongs to
    frames = b"".join(map(frame, written))
    found = scan(before + frames + after)
    assert [record_of(one.body) for one in found.frames] == written
    assert sum(gap.end - gap.start for gap in found.gaps) == len(before) + len(after)


@given(st.binary(max_size=2_000))
@settings(deadline=None)
def test_no_bytes_make_it_raise(data: bytes) -> None:
    found = scan(data)
    covered = sum(one.end - one.start for one in found.frames)
    assert covered + sum(gap.end - gap.start for gap in found.gaps) == len(data)


def test_a_torn_segment_keeps_every_record_that_is_whole() -> None:
    some, ends, data = a_segment()
    for size_bytes in range(len(data) + 1):
        whole = sum(end <= size_bytes for end in ends)
        assert found_in(data[:size_bytes]) == some[:whole]


def test_a_flipped_bit_costs_no_record_but_its_own() -> None:
    some, ends, data = a_segment()
    for place in range(len(data) * 8):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        hit = sum(end <= place // 8 for end in ends)
        assert found_in(bytes(broken)) == some[:hit] + some[hit + 1 :]


def test_a_hole_in_the_middle_is_told_with_its_place() -> None:
    some, ends, data = a_segment()
    holed = data[: ends[0]] + bytes(ends[1] - ends[0]) + data[ends[1] :]
    found = scan(holed)
    assert [tuple(gap) for gap in found.gaps] == [(ends[0], ends[1])]
    assert [record_of(one.body) for one in found.frames] == [some[0], some[2]]


def test_a_length_beyond_all_bounds_is_no_frame() -> None:
    _, _, data = a_segment()
    head = MARK + (MAX_BODY_BYTES + 1).to_bytes(4, "little") + bytes(4)
    assert len(scan(head + data).frames) == 3
    with pytest.raises(ValueError, match="too large"):
        framed(_Long())


class _Long(bytes):
    def __len__(self) -> int:
        return MAX_BODY_BYTES + 1


def test_no_text_can_pass_for_a_record_when_the_one_around_it_is_damaged() -> None:
    forged = frame(Spooled(generation=GenerationRow(id="forged", project="p", created_at=1)))
    for text in (forged.decode("latin-1"), forged.decode("utf-8", "replace"), "¯AW1" * 20, "AW"):
        assert MARK not in text.encode()
        for following in ("", "1", None):
            row = GenerationRow(
                id="g", project="p", created_at=1, inputs=text, messages=following, output=text
            )
            data = bytearray(frame(Spooled(generation=row)))
            assert data.find(MARK, 1) == -1
            data[-1] ^= 1
            assert scan(bytes(data)).frames == []


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80" * 9, b"[" * 5_000, b"\x91" * 100_000])
def test_a_body_that_this_version_does_not_know_is_a_value_error(body: bytes) -> None:
    assert scan(framed(body)).frames[0].body == body
    with pytest.raises(ValueError, match=r".*"):
        record_of(body)


def test_what_cannot_be_written_down_is_a_value_error() -> None:
    for output, created_at in (("\ud800", 1), ("fine", 2**70)):
        row = GenerationRow(id="g", project="p", output=output, created_at=created_at)
        with pytest.raises(ValueError, match=r".*"):
            body_of(Spooled(generation=row))


def test_a_later_version_s_further_fields_do_no_harm() -> None:
    body = msgspec.msgpack.encode(
        {"generation": {"id": "g", "project": "p", "created_at": 1, "mood": "glad"}, "extra": [1]}
    )
    known = record_of(body).generation
    assert known is not None
    assert known.id == "g"
