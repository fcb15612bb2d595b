"""The decorator: `@generation` (layer 4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from afterword.capture.arguments import names_of
from afterword.capture.records import Spec
from afterword.capture.signatures import (
    AsyncFunction,
    AsyncStream,
    Decorator,
    Function,
    Stream,
)
from afterword.capture.wrappers import decorated
from afterword.client import Client
from afterword.configuration import check_project
from afterword.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


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
        return decorated(function, spec)

    return decorate if fn is None else decorate(fn)
