"""Objects that must never be touched: whatever of theirs runs is counted, and raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CALLS: list[str] = []

_DUNDERS = (
    "__repr__", "__str__", "__bytes__", "__format__", "__hash__", "__eq__", "__ne__", "__lt__",
    "__bool__", "__len__", "__length_hint__", "__iter__", "__next__", "__reversed__",
    "__contains__", "__getitem__", "__getattr__", "__getattribute__", "__dir__", "__call__",
    "__enter__", "__exit__", "__await__", "__aiter__", "__anext__", "__int__", "__float__",
    "__index__", "__complex__", "__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__",
    "__getstate__", "__sizeof__", "__array__", "__json__", "__fspath__", "__buffer__",
    "__get__", "keys", "values", "items", "dict", "model_dump", "to_dict", "read",
)  # fmt: skip


def touched(name: str) -> Callable[..., Any]:
    """A method that notes that it ran, and raises."""

    def run(*_: object, **__: object) -> Any:
        CALLS.append(name)
        raise RuntimeError(f"{name} was called")

    return run


def _methods(names: tuple[str, ...] = _DUNDERS) -> dict[str, Any]:
    return {name: touched(name) for name in names}


class Posing:
    """What answers with a lie when asked for its class or its dict."""

    __class__ = property(touched("__class__"))  # type: ignore[assignment]
    __dict__ = property(touched("__dict__"))  # type: ignore[assignment]
    secret = property(touched("a property"))


Untouchable = type("Untouchable", (), _methods())
UntouchablePosing = type("UntouchablePosing", (Posing,), _methods())
UntouchableText = type("UntouchableText", (str,), _methods())
UntouchableInt = type("UntouchableInt", (int,), _methods())
UntouchableFloat = type("UntouchableFloat", (float,), _methods())
UntouchableBytes = type("UntouchableBytes", (bytes,), _methods())
UntouchableDict = type("UntouchableDict", (dict,), _methods())
UntouchableList = type("UntouchableList", (list,), _methods())
UntouchableTuple = type("UntouchableTuple", (tuple,), _methods())
UntouchableSet = type("UntouchableSet", (set,), _methods())
UntouchableClass = type(
    "UntouchableClass",
    (type,),
    _methods(
        tuple(name for name in _DUNDERS if name not in ("__call__", "__getattribute__"))
        + ("__instancecheck__", "__subclasscheck__")
    ),
)
OfUntouchableClass = UntouchableClass("OfUntouchableClass", (), {})


class Keyed:
    """A key that can be put into a dict, and after that not be touched."""

    armed = False

    def __hash__(self) -> int:
        if Keyed.armed:
            touched("key.__hash__")()
        return 7

    def __eq__(self, other: object) -> bool:
        if Keyed.armed:
            touched("key.__eq__")()
        return self is other

    def __repr__(self) -> str:
        touched("key.__repr__")()
        return ""


class KeyedText(str):
    """A key that is text, and after it was put into a dict not to be touched."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if Keyed.armed:
            touched(f"key.{name}")()
        return super().__getattribute__(name)

    def __hash__(self) -> int:
        if Keyed.armed:
            touched("key.__hash__")()
        return super().__hash__()

    __eq__ = str.__eq__


class KeyedDict(dict):  # type: ignore[type-arg]
    """A mapping of its own kind, as OrderedDict and defaultdict are."""


class LyingFields:
    """What has the marks of records, with something in them that is no list of fields."""

    __dataclass_fields__ = Untouchable()
    __struct_fields__ = Untouchable()
    __pydantic_fields__ = Untouchable()
    __attrs_attrs__ = Untouchable()


def untouchables() -> list[Any]:
    """One of each kind."""
    return [
        Untouchable(),
        UntouchablePosing(),
        UntouchableText("text"),
        UntouchableInt(7),
        UntouchableFloat(0.5),
        UntouchableBytes(b"bytes"),
        UntouchableDict({"a": 1}),
        UntouchableList([1, 2]),
        UntouchableTuple((1, 2)),
        UntouchableSet({1}),
        OfUntouchableClass,
        type.__call__(OfUntouchableClass),
        LyingFields(),
    ]
