"""The wrapper of a callable, which answers every question as the callable itself would (layer 4)."""

from __future__ import annotations

import copy
import functools
import importlib
import types
from typing import Any, SupportsIndex

import wrapt

from afterword.capture.kinds import Act, call_stream, disabled, kind_of
from afterword.capture.proxies import Proxy, tailored
from afterword.capture.records import Spec
from afterword.configuration import is_disabled

#: Pickled by their names.
_NAMED = (types.FunctionType, types.BuiltinFunctionType, type)


class BoundGeneration(wrapt.BoundFunctionWrapper[..., Any]):
    """A decorated method, bound; or one that was asked of its class."""

    def logged(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and get (or await) `Logged(value, data_id)`."""
        parent = self._self_parent
        bound_to = getattr(self.__wrapped__, "__self__", None)
        return parent._self_act(parent._self_spec, self.__wrapped__, bound_to, args, kwargs, True)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        bound_to = getattr(self.__wrapped__, "__self__", None)
        if bound_to is None:
            return _by_name(self)
        return getattr, (bound_to, self.__wrapped__.__name__)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        bound_to = getattr(self.__wrapped__, "__self__", None)
        if bound_to is None:
            return self
        return getattr(copy.deepcopy(bound_to, memo), self.__wrapped__.__name__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


# Without annotations: those of the class would stand before those of what it wraps.
class DecoratedGeneration(wrapt.FunctionWrapper[..., Any]):
    """A decorated callable."""

    __bound_function_wrapper__ = tailored(BoundGeneration, types.MethodType)

    def __init__(self, wrapped: Any, spec: Spec, act: Act, enabled: bool) -> None:
        super().__init__(wrapped, functools.partial(act, spec), enabled)
        self._self_spec = spec
        self._self_act = act

    def logged(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and get (or await) `Logged(value, data_id)`."""
        bound_to = getattr(self.__wrapped__, "__self__", None)
        return self._self_act(self._self_spec, self.__wrapped__, bound_to, args, kwargs, True)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        wrapped = self.__wrapped__
        if isinstance(wrapped, _NAMED):
            return _by_name(self)
        reduced = wrapped.__reduce_ex__(protocol)
        return _by_name(self) if isinstance(reduced, str) else _as_decorated(self)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __copy__(self) -> Any:
        return _around(self, copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: Any) -> Any:
        return _around(self, copy.deepcopy(self.__wrapped__, memo))

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


class _Calling:
    """`__call__` of a decorated object: no function, or its frame would stand in tracebacks."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        return owner._self_kind.__call__ if instance is None else instance._self_call


class DecoratedObject(Proxy):
    """A decorated object that is called, and does not bind to instances of a class it stands in.

    wrapt's function wrappers do, so such an object would pass for a method descriptor.
    """

    __call__ = _Calling()

    def __init__(self, wrapped: Any, spec: Spec, act: Act, enabled: bool) -> None:
        super().__init__(wrapped)
        self._self_spec = spec
        self._self_call = DecoratedGeneration(wrapped, spec, act, enabled)

    def logged(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and get (or await) `Logged(value, data_id)`."""
        return self._self_call.logged(*args, **kwargs)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        reduced = self.__wrapped__.__reduce_ex__(protocol)
        return reduced if isinstance(reduced, str) else _as_decorated(self)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __copy__(self) -> Any:
        return _around(self, copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: Any) -> Any:
        return _around(self, copy.deepcopy(self.__wrapped__, memo))


def _as_decorated(wrapper: Any) -> Any:
    return decorated, (wrapper.__wrapped__, wrapper._self_spec)


def _around(wrapper: Any, twin: Any) -> Any:
    return wrapper if twin is wrapper.__wrapped__ else decorated(twin, wrapper._self_spec)


def decorated(function: Any, spec: Spec) -> Any:
    """The callable, its calls logged as the spec says."""
    if type(function) is staticmethod:
        return staticmethod(decorated(function.__func__, spec))
    act = kind_of(function)
    enabled = True
    if is_disabled():
        # wrapt then calls the function without us, except that streams have a data ID to answer.
        enabled = act is call_stream
        act = disabled(act)
    binds = hasattr(type(function), "__get__") or isinstance(function, _NAMED)
    proxy = DecoratedGeneration if binds else DecoratedObject
    return tailored(proxy, type(function))(function, spec, act, enabled)


def _by_name(wrapper: Any) -> Any:
    """How pickle is told the wrapper's name."""
    module, name = wrapper.__module__, wrapper.__qualname__
    try:
        found = _named(module, name)
    except (ImportError, AttributeError):
        return name  # pickle says why this will not do
    # A class makes a new bound wrapper each time, and pickle would say that it is not the same one.
    same = found is not wrapper and getattr(found, "__wrapped__", None) is wrapper.__wrapped__
    return (_named, (module, name)) if same else name


def _named(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
