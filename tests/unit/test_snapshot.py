"""Snapshots: what a value was, at a bounded price, with nothing of the user's run on the way."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import io
import math
import sys
import threading
import types
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import hostile
import httpx
import msgspec
import pytest

import afterword.snapshot
from afterword import Client, annotate, generation
from afterword.codec import from_json, json_of, plain, to_json
from afterword.snapshot import Packed, careful, size_bytes, snapshot


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give slow machines time; the budget of time has its own test."""
    monkeypatch.setattr(afterword.snapshot, "MAX_MS", 60_000.0)


def taken(value: Any) -> Any:
    return plain(snapshot(value))


def is_cut(value: Any) -> bool:
    packed = snapshot(value)
    return type(packed) is Packed and packed.truncated


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Point(NamedTuple):
    x: int
    y: Any


@dataclasses.dataclass
class Plainly:
    a: int
    b: Any = None
    me: Any = None


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    a: int
    b: Any = None


class Struct(msgspec.Struct):
    a: int
    b: Any = None


AWARE = dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)
UUID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (-0.0, -0.0),
        (math.inf, math.inf),
        (10**400, 10**400),
        (-(2**63) - 1, -(2**63) - 1),
        (2**64, 2**64),
        ("", ""),
        ("a\ud800b\0c\ufeff\u2028\u202e\U0001f600", "a\ud800b\0c\ufeff\u2028\u202e\U0001f600"),
        (b"\xff\xfe\0", b"\xff\xfe\0"),
        (bytearray(b"ab"), b"ab"),
        ((1, (2, 3)), [1, [2, 3]]),
        ({3}, [3]),
        (frozenset({"x"}), ["x"]),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("sNaN"), "sNaN"),
        (1 + 2j, "(1+2j)"),
        (UUID, str(UUID)),
        (AWARE, "2026-01-02T03:04:05.000006+00:00"),
        (AWARE.replace(tzinfo=None), "2026-01-02T03:04:05.000006"),
        (AWARE.date(), "2026-01-02"),
        (AWARE.time(), "03:04:05.000006"),
        (dt.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
        (Colour.RED, {"name": "RED", "value": "red"}),
        (Colour.PAIR, {"name": "PAIR", "value": [1, 2]}),
        (Level.LOW, 1),
        (Word.YES, "yes"),
        (Point(1, [2]), {"x": 1, "y": [2]}),
        (Plainly(1, {"c": 2}), {"a": 1, "b": {"c": 2}, "me": None}),
        (Slotted(1, (2,)), {"a": 1, "b": [2]}),
        (Struct(1, [None]), {"a": 1, "b": [None]}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, {1: [2]}), {1: [2]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.deque([1]), "<collections.deque>"),
        ({Colour.RED: 1, Level.LOW: 2, Word.YES: 3}, {"red": 1, 1: 2, "yes": 3}),
        ({(1, ("a", b"b")): None, None: 1, 1.5: 2, b"k": 3}, None),
        (object(), "<builtins.object>"),
        (int, "<builtins.type>"),
        (sys, "<builtins.module>"),
        (Ellipsis, "<builtins.ellipsis>"),
        (types.SimpleNamespace(a=1), "<types.SimpleNamespace>"),
    ],
)
def test_a_value_is_kept_as_plain_values(value: Any, expected: Any) -> None:
    if expected is None and value is not None:
        expected = value
    for given, wanted in (
        (value, expected),
        ([value], [expected]),
        ({"k": value}, {"k": expected}),
    ):
        assert taken(given) == wanted
        assert repr(taken(given)) == repr(wanted)
        assert repr(from_json(json_of(snapshot(given)))) == repr(wanted)
        assert not is_cut(given)


def test_nan_is_kept() -> None:
    assert math.isnan(taken(math.nan))
    assert math.isnan(from_json(to_json(taken([math.nan])))[0])


def test_records_of_attrs_and_pydantic_are_opened() -> None:
    attrs = pytest.importorskip("attrs")
    pydantic = pytest.importorskip("pydantic")

    @attrs.define
    class Defined:
        a: int
        b: list[int]

    @attrs.define(slots=False)
    class Loose:
        a: int

    class Model(pydantic.BaseModel):
        a: int
        b: Any = None
        secret: Any = None

    assert taken(Defined(1, [2])) == {"a": 1, "b": [2]}
    assert taken(Loose(1)) == {"a": 1}
    model = Model(a=1, b=Model(a=2), secret=pydantic.SecretStr("hidden"))
    assert taken(model)["b"] == {"a": 2, "b": None, "secret": None}
    assert taken(model)["secret"] == "<pydantic.types.SecretStr>"


def test_arrays_say_what_they_are_and_small_ones_what_they_hold() -> None:
    numpy = pytest.importorskip("numpy")
    assert taken(numpy.arange(3)) == {"numpy": "int64", "shape": [3], "values": [0, 1, 2]}
    assert taken(numpy.zeros((1000, 1000))) == {"numpy": "float64", "shape": [1000, 1000]}
    assert taken(numpy.array([object()])) == {"numpy": "object", "shape": [1]}
    assert taken(numpy.float32(0.5)) == {"numpy": "float32", "value": 0.5}
    assert taken(numpy.float64(0.5)) == 0.5
    assert taken({numpy.str_("k"): numpy.str_("v")}) == {"k": "v"}


def cyclic() -> list[Any]:
    in_list: list[Any] = [1]
    in_list.append(in_list)
    in_dict: dict[str, Any] = {}
    in_dict["me"] = in_dict
    in_record = Plainly(1)
    in_record.me = [in_record]
    in_struct = Struct(1)
    in_struct.b = {"me": in_struct}
    in_tuple: tuple[Any, ...] = ([],)
    in_tuple[0].append(in_tuple)
    pair: list[Any] = []
    pair.append({"pair": pair})
    return [in_list, in_dict, in_record, in_struct, in_tuple, pair]


@pytest.mark.parametrize("value", cyclic(), ids=lambda value: type(value).__name__)
def test_a_cycle_ends_where_it_closes(value: Any) -> None:
    assert "<cycle>" in to_json(taken(value))


def test_siblings_that_are_the_same_object_are_no_cycle() -> None:
    shared = ["x"]
    assert taken([shared, shared, {"k": shared}] * 30) == [["x"], ["x"], {"k": ["x"]}] * 30


def deep(depth: int, kind: type = list) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = {"k": value} if kind is dict else kind((value,))
    return value


@pytest.mark.parametrize("kind", [list, tuple, dict])
@pytest.mark.parametrize("depth", [65, 1_000, 100_000])
def test_what_is_too_deep_is_cut_and_says_so(depth: int, kind: type) -> None:
    value = deep(depth, kind)
    assert is_cut(value)
    assert "<too deep to record>" in json_of(snapshot(value))
    while type(value) is not str:  # taken apart by hand, since its own finaliser may be deep
        value = value["k"] if kind is dict else value[0]


def test_what_is_deep_but_fits_is_kept() -> None:
    value = deep(60)
    assert taken(value) == value
    assert not is_cut(value)
    assert from_json(json_of(snapshot(value))) == value


def test_a_graph_of_shared_parts_is_not_walked_along_all_its_paths() -> None:
    wide: Any = ["leaf"]
    for _ in range(30):
        wide = [wide, wide]
    assert is_cut(wide)
    assert len(json_of(snapshot(wide))) < 2_000_000


def test_a_long_text_shared_many_times_does_not_multiply() -> None:
    text = "x" * 65_000
    shared: Any = [[[[text] * 8] * 8] * 16] * 64
    packed = snapshot(shared)
    assert packed.truncated
    assert size_bytes(packed) < 2_000_000
    keys: Any = [[[[{text[:1_000] + str(i): 1 for i in range(8)}]] * 8] * 16] * 64
    assert size_bytes(snapshot(keys)) < 2_000_000


BIG = {
    "a prompt of 50 MB": "x" * 50_000_000,
    "a prompt of 50 MB that is not ASCII": "ü" * 25_000_000,
    "bytes": b"x" * 50_000_000,
    "a bytearray": bytearray(50_000_000),
    "a key": {"k" * 50_000_000: 1},
    "a key of bytes": {b"k" * 50_000_000: 1},
    "a key that is a tuple": {("k" * 50_000_000, 1): 1},
    "a key in a list": [{"k" * 50_000_000: 1}],
    "a million messages": [{"role": "user", "content": "hi"}] * 1_000_000,
    "a list of long texts": ["x" * 20_000] * 1_000,
    "a list of long texts that UTF-8 cannot hold": ["x\ud800" * 10_000] * 1_000,
    "a dict of 20,000 keys": {f"key {number}": number for number in range(20_000)},
    "a set": set(range(100_000)),
    "an int": 1 << 50_000_000,
    "many ints": [1 << 99_000] * 5_000,
    "many ints as keys": {1 << (90_000 + number): 1 for number in range(2_000)},
}


@pytest.mark.parametrize("name", BIG)
def test_what_does_not_fit_the_budget_is_cut_and_says_so(name: str) -> None:
    packed = snapshot(BIG[name])
    assert type(packed) is Packed
    assert packed.truncated
    assert size_bytes(packed) <= 3_000_000
    text = json_of(packed)
    assert len(text) <= 6_000_000
    assert "truncated" in text or "bits>" in text or "$bytes" in text or "tuple>" in text


def test_a_dict_of_many_keys_that_fits_is_kept() -> None:
    value = {f"key {number}": number for number in range(9_000)}
    assert taken(value) == value


def test_time_runs_out_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afterword.snapshot, "MAX_MS", 0.0)
    assert is_cut([object()] * 5_000)


def test_keys_that_look_the_same_once_recorded_are_a_cut() -> None:
    assert is_cut({object(): 1, object(): 2})
    assert not is_cut({object(): 1})


def test_a_snapshot_weighs_what_it_holds() -> None:
    for value in (["x" * 100_000], ["x\ud800" * 50_000], b"x" * 100_000, {(1,): "x" * 100_000}):
        assert size_bytes(snapshot(value)) >= 100_000


@pytest.fixture
def armed() -> Iterator[None]:
    hostile.CALLS.clear()
    yield
    hostile.Keyed.armed = False
    hostile.CALLS.clear()


@pytest.mark.usefixtures("armed")
@pytest.mark.parametrize("index", range(len(hostile.untouchables())))
def test_nothing_of_a_hostile_object_ever_runs(index: int) -> None:
    value = hostile.untouchables()[index]
    hostile.CALLS.clear()
    for given in (value, [value], {"k": value}, (value, 1), [[{"k": [value]}]], Plainly(1, value)):
        packed = snapshot(given)
        json_of(packed)
        size_bytes(packed)
    assert hostile.CALLS == []


@pytest.mark.usefixtures("armed")
@pytest.mark.parametrize("kind", [dict, hostile.KeyedDict, collections.OrderedDict])
def test_nothing_of_a_hostile_key_ever_runs(kind: type[dict[Any, Any]]) -> None:
    value = kind()
    for number in range(3):
        value[hostile.Keyed()] = number
        value[hostile.KeyedText(number)] = number
    texts = kind({hostile.KeyedText("text"): 1})
    hostile.Keyed.armed = True
    snapshot(value)
    snapshot([value])
    snapshot({"k": value})
    snapshot(texts)
    assert hostile.CALLS == []
    assert taken(texts) == {"text": 1}


def test_the_class_is_named_where_the_object_cannot_be_opened() -> None:
    assert taken([hostile.Untouchable()]) == ["<hostile.Untouchable>"]
    assert taken(hostile.UntouchablePosing()) == "<hostile.UntouchablePosing>"
    assert taken(type.__call__(hostile.OfUntouchableClass)) == "<hostile.OfUntouchableClass>"
    assert taken(hostile.UntouchableDict({"a": 1})) == {"a": 1}
    assert taken(hostile.UntouchableText("text")) == "text"


class Zone(dt.tzinfo):
    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        raise OSError("no such zone")


def test_a_time_whose_zone_fails_is_named() -> None:
    assert taken([dt.datetime(2026, 1, 1, tzinfo=Zone())]) == ["<datetime.datetime>"]


def test_live_things_are_named_and_left_alone() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> int:
        return 1

    generator, coroutine, lock = numbers(), later(), threading.Lock()
    file = io.StringIO("content")
    with httpx.Client() as client:
        things = [generator, coroutine, file, lock, client, iter([1]), map(str, [1]), range(3)]
        assert taken(things) == [
            "<builtins.generator>",
            "<builtins.coroutine>",
            "<_io.StringIO>",
            "<_thread.lock>",
            "<httpx.Client>",
            "<builtins.list_iterator>",
            "<builtins.map>",
            "<builtins.range>",
        ]
    assert list(generator) == [1]
    assert file.read() == "content"
    assert not lock.locked()
    assert [list(thing) for thing in things[5:7]] == [[1], ["1"]]
    coroutine.close()


def test_a_change_after_the_call_is_not_seen() -> None:
    inner = {"k": [1]}
    for value in ([inner], {"inner": inner}, (inner, object()), Plainly(1, inner)):
        packed = snapshot(value)
        before = json_of(packed)
        inner["k"].append(2)
        inner["new"] = [3]
        assert json_of(packed) == before


@pytest.mark.parametrize("with_object", [False, True], ids=["fast", "careful"])
def test_a_change_by_another_thread_meanwhile_breaks_nothing(with_object: bool) -> None:
    value: dict[Any, Any] = {"list": [1, 2], "dict": {}, "set": {1}}
    if with_object:
        value["object"] = object()
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.is_set():
            number += 1
            value["list"].append(number)
            value["dict"][number % 300] = number
            value["set"] ^= {number % 300}
            value[number % 30] = number
            if number % 100 == 0:
                value["list"].clear()
                value["dict"].clear()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(1_000):
            kept = plain(snapshot(value))
            assert type(kept) is dict
            assert kept["list"][:2] in ([], [1, 2]) or len(kept["list"]) > 0
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before)


def test_a_snapshot_near_the_recursion_limit_raises_nothing() -> None:
    values = ([[[[[1]]]]], {"a": {"b": {"c": object()}}}, deep(40), "text")
    raised: list[str] = []

    def descend(left: int) -> None:
        if left:
            descend(left - 1)
            return
        for value in values:
            try:
                snapshot(value)
            except RecursionError:
                raised.append(repr(type(value)))

    def room() -> int:
        """How many more calls fit."""

        def count(number: int) -> int:
            try:
                return count(number + 1)
            except RecursionError:
                return number

        return count(0)

    # Three frames are what this test's own call, `snapshot` and its helper take.
    for spare in range(8, 60):
        descend(room() - spare)
    assert raised == []


def test_records_say_which_fields_were_cut(client: Client) -> None:
    @generation(client=client)
    def answer(question: str, more: Any) -> str:
        annotate(messages=[{"role": "user", "content": "m" * 2_000_000}])
        return "o" * 2_000_000

    answer("short", "i" * 2_000_000)
    data_id = client.log(inputs={"a": "x" * 2_000_000}, output="short", metadata={"own": 1})
    first, second = client.get(client.generations().items[-1].id), client.get(data_id)
    assert first is not None
    assert second is not None
    assert first.metadata is not None
    assert sorted(first.metadata["truncated"]) == ["inputs", "messages", "output"]
    assert first.inputs["question"] == "short"
    assert second.metadata == {"own": 1, "truncated": ["inputs"]}


def test_the_careful_way_and_the_fast_way_agree() -> None:
    for value in ({"a": [1, 2.5, None, True, "x"]}, [[1], (2,)], {"é": {"ü": ["\U0001f600"]}}, []):
        assert taken(value) == plain(careful(value))
