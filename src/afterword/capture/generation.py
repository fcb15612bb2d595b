"""The decorator: `@generation` (layer 4)."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Mapping,
)
from typing import Any, ParamSpec, SupportsIndex, TypeVar, cast, overload

import wrapt

from afterword.capture.arguments import names_of
from afterword.capture.calls import begin, end_ok, end_raised, prepare
from afterword.capture.records import Call, Spec
from afterword.capture.signatures import (
    AsyncFunction,
    AsyncStream,
    Decorator,
    Function,
    Logged,
    Stream,
)
from afterword.capture.streams import AsyncGenerationStream, GenerationStream, drive
from afterword.client import Client
from afterword.configuration import check_project, is_disabled
from afterword.context import set_active
from afterword.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


# --- what each kind of callable does ---------------------------------------------------------


def _call_plain(spec: Spec, wrapped: Any, args: Any, kwargs: Any, skip: int, logged: bool) -> Any:
    call = prepare(spec, args, kwargs, skip)
    if call is None:
        return Logged(wrapped(*args, **kwargs), None) if logged else wrapped(*args, **kwargs)
    begin(call)
    set_active(call)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        set_active(call.before)
        end_raised(call, error)
        raise
    set_active(call.before)
    result = _finished(call, result)
    return Logged(result, call.data_id) if logged else result


def _call_async(spec: Spec, wrapped: Any, args: Any, kwargs: Any, skip: int, logged: bool) -> Any:
    call = prepare(spec, args, kwargs, skip)
    awaitable = wrapped(*args, **kwargs)
    if call is None:
        return _unrecorded(awaitable) if logged else awaitable
    runner = cast("Any", _run(awaitable, call, logged))
    try:
        runner.__name__, runner.__qualname__ = awaitable.__name__, awaitable.__qualname__
    except AttributeError:
        pass
    return runner


def _call_generator(
    spec: Spec, wrapped: Any, args: Any, kwargs: Any, skip: int, logged: bool
) -> Any:
    return _call_stream(GenerationStream, spec, wrapped, args, kwargs, skip, logged)


def _call_async_generator(
    spec: Spec, wrapped: Any, args: Any, kwargs: Any, skip: int, logged: bool
) -> Any:
    return _call_stream(AsyncGenerationStream, spec, wrapped, args, kwargs, skip, logged)


def _call_stream(
    kind: Any, spec: Spec, wrapped: Any, args: Any, kwargs: Any, skip: int, logged: bool
) -> Any:
    stream = wrapped(*args, **kwargs)
    call = prepare(spec, args, kwargs, skip)
    if call is not None:
        stream = kind(stream, call)
    return Logged(stream, None if call is None else call.data_id) if logged else stream


async def _unrecorded(awaitable: Any) -> Any:
    return Logged(await awaitable, None)


async def _run(awaitable: Any, call: Call, logged: bool) -> Any:
    begin(call)
    try:
        result = await drive(awaitable.__await__(), call)
    except BaseException as error:
        end_raised(call, error)
        _drop_inner_frame(error)
        raise
    result = _finished(call, result)
    return Logged(result, call.data_id) if logged else result


def _drop_inner_frame(error: BaseException) -> None:
    """Keep one frame of ours in the traceback: that of `_run`."""
    outer = error.__traceback__
    while outer is not None and outer.tb_next is not None:
        if outer.tb_next.tb_frame.f_code is drive.__code__:
            outer.tb_next = outer.tb_next.tb_next
            return
        outer = outer.tb_next


# --- what came back ---------------------------------------------------------------------------

_NO_STREAMS = frozenset((str, dict, list, tuple, int, float, bool, bytes, set, types.NoneType))
_RECORDS = ("__dataclass_fields__", "__struct_fields__", "__pydantic_fields__", "__attrs_attrs__")


def _finished(call: Call, result: Any) -> Any:
    """The result as the caller gets it: the same object, unless it is a stream."""
    if type(result) not in _NO_STREAMS:
        try:
            wrap = _stream_kind(cast("Hashable", type(result)))
            if wrap is not None:
                return wrap(result, call)
        except Exception as error:
            call.client.faults.note("looking at a result", error)
    end_ok(call, result)
    return result


def _run_later(awaitable: Any, call: Call) -> Any:
    return _run_begun(awaitable, call)


async def _run_begun(awaitable: Any, call: Call) -> Any:
    try:
        result = await drive(awaitable.__await__(), call)
    except BaseException as error:
        end_raised(call, error)
        _drop_inner_frame(error)
        raise
    return _finished(call, result)


@functools.lru_cache(maxsize=1024)
def _stream_kind(kind: Any) -> Any:
    if issubclass(kind, (types.CoroutineType,)):
        return _run_later
    if issubclass(kind, types.AsyncGeneratorType) or hasattr(kind, "__anext__"):
        return AsyncGenerationStream
    if issubclass(kind, types.GeneratorType) or hasattr(kind, "__next__"):
        return GenerationStream
    return None


# --- the wrapper ------------------------------------------------------------------------------


class _BoundGeneration(wrapt.BoundFunctionWrapper[..., Any]):
    """A decorated method, bound."""

    def logged(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and get (or await) `Logged(value, data_id)`."""
        spec, act = self._self_parent._self_spec, self._self_parent._self_act
        skip = 0 if self._self_binding == "staticmethod" else 1
        return act(spec, self.__wrapped__, args, kwargs, skip, True)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        owner = getattr(self.__wrapped__, "__self__", None)
        if owner is None:
            return self.__wrapped__.__qualname__
        return getattr, (owner, self.__wrapped__.__name__)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


class _Generation(wrapt.FunctionWrapper[..., Any]):
    """A decorated callable. It answers every question as the callable itself would."""

    __bound_function_wrapper__ = _BoundGeneration

    def __init__(self, wrapped: Any, spec: Spec, act: Any, enabled: bool) -> None:
        def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return act(spec, wrapped, args, kwargs, 0 if instance is None else 1, False)

        # While disabled, wrapt calls the function without us.
        super().__init__(wrapped, wrapper, enabled)
        self._self_spec = spec
        self._self_act = act

    def logged(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and get (or await) `Logged(value, data_id)`."""
        return self._self_act(self._self_spec, self.__wrapped__, args, kwargs, 0, True)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return self.__wrapped__.__qualname__

    def __reduce__(self) -> Any:
        return self.__wrapped__.__qualname__

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _kind(function: Any) -> Any:
    target = function
    while True:
        if isinstance(target, (classmethod, staticmethod)):
            target = target.__func__
        elif isinstance(target, functools.partial):
            target = target.func
        else:
            break
    for candidate in (target, getattr(type(target), "__call__", None)):  # noqa: B004
        if inspect.isasyncgenfunction(candidate):
            return _call_async_generator
        if inspect.isgeneratorfunction(candidate):
            return _call_generator
        if inspect.iscoroutinefunction(candidate):
            return _call_async
    return _call_plain


@overload
def generation(fn: classmethod[S, P, R], /) -> classmethod[S, P, R]: ...


@overload
def generation(fn: staticmethod[P, R], /) -> staticmethod[P, R]: ...  # type: ignore[overload-overlap]


@overload
def generation(fn: Callable[P, AsyncGenerator[T, S]], /) -> Function[P, AsyncStream[T, S]]: ...


@overload
def generation(fn: Callable[P, Generator[T, S, R]], /) -> Function[P, Stream[T, S, R]]: ...


@overload
def generation(fn: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncFunction[P, T]: ...  # type: ignore[overload-overlap]


@overload
def generation(fn: Callable[P, R], /) -> Function[P, R]: ...


@overload
def generation(
    *,
    project: str | None = None,
    name: str | None = None,
    version: str | None = None,
    model: str | None = None,
    inputs: bool | Callable[[dict[str, Any]], Any] = True,
    output: bool | Callable[[Any], Any] = True,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
    sample: float | Callable[[], bool] | None = None,
    client: Client | None = None,
) -> Decorator: ...


def generation(
    fn: Any = None,
    /,
    *,
    project: str | None = None,
    name: str | None = None,
    version: str | None = None,
    model: str | None = None,
    inputs: bool | Callable[[dict[str, Any]], Any] = True,
    output: bool | Callable[[Any], Any] = True,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
    sample: float | Callable[[], bool] | None = None,
    client: Client | None = None,
) -> Any:
    """Log every call of a function as a generation. Use it bare or called.

    Works on sync and async functions, generators, async generators, callables that return one of
    these, methods, classmethods, staticmethods (in either order), partials and callable objects.
    The decorated function behaves as before; its `logged(...)` gives `Logged(value, data_id)`, and
    a stream it returns has a `data_id`.

    `name` defaults to the qualified name. `inputs` and `output` are True, False, or a callable
    that gets the arguments by name, or the output, and returns what is logged instead. `sample` is
    the share of calls, or a callable deciding it, whose payloads are kept; the call itself is
    always logged, so that feedback finds it.

    Raises:
        ConfigError: at decoration, when an option is not usable. Calls never raise for our sake.
    """
    if project is not None:
        check_project(project)
    for field, picker in (("inputs", inputs), ("output", output)):
        if not isinstance(picker, bool) and not callable(picker):
            raise ConfigError(f"{field} must be True, False or a callable")
    if sample is not None and not callable(sample) and not 0 <= sample <= 1:
        raise ConfigError("sample must be a share from 0 to 1, or a callable")
    if isinstance(tags, str):
        raise ConfigError("tags must be a list of texts")

    def decorate(function: Any) -> Any:
        if not callable(function) and not isinstance(function, (classmethod, staticmethod)):
            raise ConfigError(f"@generation decorates a callable, not {type(function).__name__}")
        plain: Any = getattr(function, "__func__", function)
        spec = Spec()
        spec.name = name or getattr(plain, "__qualname__", None) or type(plain).__qualname__
        spec.names = names_of(plain)
        spec.project, spec.version, spec.model = project, version, model
        spec.inputs, spec.output = inputs, output
        spec.tags, spec.metadata = tuple(tags), dict(metadata) if metadata else None
        spec.sample, spec.client = sample, client
        return _Generation(function, spec, _kind(function), not is_disabled())

    return decorate if fn is None else decorate(fn)
