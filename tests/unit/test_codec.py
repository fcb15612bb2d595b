"""The codec: whatever JSON lacks comes back too, and what JSON has is plain JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from afterword.codec import clean, from_json, json_of, plain, to_json
from afterword.snapshot import snapshot

# Two halves of a surrogate pair, side by side, are one character to JSON; apart, each is kept.
texts = st.text(st.characters(exclude_categories=[])).filter(
    lambda text: text == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | st.binary()
)
keys = scalars | st.tuples(scalars, scalars) | st.sampled_from(("$float", "$dict", "$bytes", "$"))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal in type and value, NaN and the sign of zero included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same([part for pair in one.items() for part in pair],
                    [part for pair in other.items() for part in pair])  # fmt: skip
    return bool(one == other)


@settings(max_examples=300)
@given(values)
@example({"$float": "nan"})
@example({"$dict": [["a", 1]]})
@example([{"$int": "0x5"}, {"$bytes": "eA=="}])
@example({1: "a", "1": "b", False: "c", 0.5: "d", None: "e"})
@example([10**400, -(10**400), 2**64, -(2**63) - 1, 2**64 - 1])
@example([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308])
@example(["\ud800", "a\0b", "\ufeff", "\u2028", "é\udfff"])
@example({"é\ud800": {b"\xff": None}})
@example([1.0, 1, True])
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    text = to_json(value)
    text.encode()  # a store takes it
    assert "\0" not in text
    assert same(from_json(text), value)


@settings(max_examples=200)
@given(values)
@example({"a": 1.0})
@example([2**63 - 1, -(2**63)])
@example({"k": {1: 2}})
@example({"text": "\ud800"})
def test_a_snapshot_is_written_as_its_plain_value_would_be(value: Any) -> None:
    taken = snapshot(value)
    assert same(plain(taken), value)
    assert same(from_json(json_of(taken)), value)


json_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
) | st.text()  # fmt: skip
json_values = st.recursive(
    json_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: not key.startswith("$")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_what_json_has_is_written_as_anybody_would_read_it(value: Any) -> None:
    text = to_json(value)
    assert same(json.loads(text), value)
    assert same(msgspec.json.decode(text), value)
    assert same(from_json(json.dumps(value)), value)


@given(values)
def test_what_json_lacks_is_still_valid_json(value: Any) -> None:
    json.loads(to_json(value), parse_constant=pytest.fail)


def test_what_json_lacks_is_written_under_its_tag() -> None:
    written = {
        "nan": {"$float": "nan"},
        "huge": {"$int": hex(2**64)},
        "raw": {"$bytes": "AP8="},
        "odd": {"$dict": [[1, "a"], [{"$bytes": "eA=="}, "b"]]},
        "pair": {"$dict": [[[1, 2], "c"]]},
        "tag": {"$dict": [["$int", 5]]},
    }
    value = {
        "nan": math.nan,
        "huge": 2**64,
        "raw": b"\x00\xff",
        "odd": {1: "a", b"x": "b"},
        "pair": {(1, 2): "c"},
        "tag": {"$int": 5},
    }
    assert json.loads(to_json(value)) == written


def test_text_beside_a_lone_surrogate_can_still_be_searched() -> None:
    assert to_json(["naïve 😀", "\ud800"]) == '["naïve 😀","\\ud800"]'


@pytest.mark.parametrize("text", ['{"$other":1}', '{"$float":"nan","more":1}', '{"$":{}}'])
def test_what_only_looks_like_a_tag_is_left_alone(text: str) -> None:
    assert from_json(text) == json.loads(text)


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, {"k": [object()]}])
def test_what_is_not_plain_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="not a plain value"):
        to_json(value)


@given(st.text(st.characters(exclude_categories=[])))
def test_clean_text_can_be_stored_and_stays_what_it_was_when_it_could_be(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode()
    assert clean(cleaned) == cleaned
    if "\0" not in text and text.isprintable():
        assert cleaned == text
