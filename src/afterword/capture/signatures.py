"""What type checkers see of a decorated callable: what was declared, and `logged` beside it (layer 4).

These classes exist for annotations. At run time a decorated callable is a wrapt proxy of the
callable itself.

Overloads that overlap do so on purpose: the first that fits says the most.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import msgspec

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Y_co = TypeVar("Y_co", covariant=True)
Sent_contra = TypeVar("Sent_contra", contravariant=True)


class Logged(msgspec.Struct, Generic[T], frozen=True):
    """What a call gave, and the data ID of the generation it was."""

    value: T
    data_id: str | None


class Stream(Generator[Y_co, Sent_contra, T_co]):
    """A generator that a decorated function returned."""

    data_id: str


class AsyncStream(AsyncGenerator[Y_co, Sent_contra]):
    """An async generator that a decorated function returned."""

    data_id: str


class _Named(Protocol):
    __name__: str
    __qualname__: str
    __module__: str


class Function(_Named, Protocol[P, R]):
    """A decorated function or method that is not async."""

    @property
    def __wrapped__(self) -> Callable[P, R]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def logged(self, *args: P.args, **kwargs: P.kwargs) -> Logged[R]: ...

    @overload
    def __get__(
        self: Function[Concatenate[type[S], Q], R], instance: S | None, owner: type[S], /
    ) -> Function[Q, R]: ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(
        self: Function[Concatenate[S, Q], R], instance: S, owner: type | None = None, /
    ) -> Function[Q, R]: ...


class AsyncFunction(_Named, Protocol[P, T]):
    """A decorated async function or method."""

    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]: ...

    def logged(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Logged[T]]: ...

    @overload
    def __get__(
        self: AsyncFunction[Concatenate[type[S], Q], T], instance: S | None, owner: type[S], /
    ) -> AsyncFunction[Q, T]: ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(
        self: AsyncFunction[Concatenate[S, Q], T], instance: S, owner: type | None = None, /
    ) -> AsyncFunction[Q, T]: ...


class Decorator(Protocol):
    """What `generation(...)` with options gives."""

    @overload
    def __call__(self, fn: classmethod[S, P, R], /) -> classmethod[S, P, R]: ...

    @overload
    def __call__(self, fn: staticmethod[P, R], /) -> staticmethod[P, R]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(
        self, fn: Callable[P, AsyncGenerator[T, S]], /
    ) -> Function[P, AsyncStream[T, S]]: ...

    @overload
    def __call__(self, fn: Callable[P, Generator[T, S, R]], /) -> Function[P, Stream[T, S, R]]: ...

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncFunction[P, T]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, fn: Callable[P, R], /) -> Function[P, R]: ...
