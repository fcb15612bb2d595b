"""IDs: ours are UUIDv7 and sort by age; from outside, a narrow alphabet."""

from __future__ import annotations

import string
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword.errors import InvalidInput
from afterword.ids import check_data_id, check_external_id, is_data_id, looks_minted, new_id

ALPHABET = string.ascii_letters + string.digits + "._-"


def test_an_id_of_ours_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    minted = new_id()
    after_ms = time.time_ns() // 1_000_000
    read = uuid.UUID(minted)
    assert str(read) == minted
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert before_ms <= read.int >> 80 <= after_ms


def test_ids_minted_one_after_the_other_sort_so() -> None:
    minted = [new_id() for _ in range(5_000)]
    assert minted == sorted(minted)


def test_ids_minted_by_many_threads_at_once_are_all_different() -> None:
    together = threading.Barrier(8)

    def mint(_: int) -> list[str]:
        together.wait()
        return [new_id() for _ in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        minted = [data_id for ids in pool.map(mint, range(8)) for data_id in ids]
    assert len(set(minted)) == 16_000


@given(st.text(ALPHABET, min_size=1, max_size=128))
def test_any_id_of_the_alphabet_is_taken_as_it_is(value: str) -> None:
    assert is_data_id(value)
    assert check_data_id(value) == value


@given(st.text(ALPHABET, max_size=10), st.characters(exclude_characters=ALPHABET))
def test_one_character_outside_the_alphabet_is_refused(value: str, odd: str) -> None:
    for wrong in (value + odd, odd + value, value + odd + value):
        assert not is_data_id(wrong)
        with pytest.raises(InvalidInput):
            check_data_id(wrong)


@pytest.mark.parametrize("value", ["", "x" * 129, "a\n", None, 5, b"bytes", ["a"], new_id])
def test_what_is_no_id_is_refused_with_its_field_named(value: Any) -> None:
    assert not is_data_id(value)
    with pytest.raises(InvalidInput, match="1 to 128 characters") as caught:
        check_data_id(value, "parent_id")
    assert caught.value.field == "parent_id"


def test_what_looks_minted_is_told_from_other_ids() -> None:
    assert looks_minted(new_id())
    for other in (str(uuid.uuid4()), new_id()[:-1], "order-1", "x" * 36, ""):
        assert not looks_minted(other)


@given(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=512))
def test_an_alias_may_be_any_text(value: str) -> None:
    assert check_external_id(value) == value
