"""Proxies that have the special methods of what they stand for, and no others (layer 4).

wrapt's own proxies answer to every special method there is, so that a generator behind one would
pass for a container and a context manager.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, SupportsIndex

import wrapt

#: What wrapt adds that makes a thing pass for what it is not. None is how Python spells "not mine".
_TELLTALES = (
    "__aenter__", "__aexit__", "__complex__", "__contains__", "__delitem__", "__enter__",
    "__exit__", "__float__", "__getitem__", "__index__", "__int__", "__iter__", "__len__",
    "__reversed__", "__setitem__",
)  # fmt: skip

_NONE: Mapping[str, Any] = {}

# In each class of ours, or to ask one for its annotations would put an empty dict before it.
_ANNOTATIONS = inspect.getattr_static(wrapt.BaseObjectProxy, "__annotations__")


class Proxy(wrapt.BaseObjectProxy[Any]):
    """A stand-in that is copied, pickled and shown as what it stands for."""

    # The special methods that do more than pass on, for those things that have them. Without an
    # annotation: those of the class would stand before those of what it wraps.
    _self_methods = _NONE

    def __reduce__(self) -> Any:
        return self.__wrapped__.__reduce__()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return copy.copy(self.__wrapped__)

    def __deepcopy__(self, memo: Any) -> Any:
        return copy.deepcopy(self.__wrapped__, memo)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _tailored(proxy: Any, kind: Any) -> Any:
    """The class below `proxy` that stands for things of this kind, by their class's own name."""
    methods: dict[str, Any] = {
        name: method
        for name, method in getattr(proxy, "_self_methods", {}).items()
        if hasattr(kind, name)
    }
    for name in _TELLTALES:
        if name not in methods and not hasattr(kind, name):
            methods[name] = None
    if hasattr(kind, "__iter__") and methods.get("__contains__", kind) is None:
        methods["__contains__"] = _contains
    for name in ("__firstlineno__", "__static_attributes__"):  # of classes, since Python 3.13
        if hasattr(kind, name):
            methods[name] = getattr(kind, name)
    methods["__annotations__"] = _ANNOTATIONS
    methods["_self_kind"] = kind
    methods["__module__"], methods["__qualname__"] = kind.__module__, kind.__qualname__
    return type(proxy)(kind.__name__, (proxy,), methods)


tailored: Callable[[Any, Any], Any] = functools.lru_cache(maxsize=512)(_tailored)


def _contains(self: Any, wanted: Any) -> bool:
    """What `in` does with things that can only be iterated."""
    return any(item is wanted or item == wanted for item in self)
