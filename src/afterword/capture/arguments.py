"""Which argument has which name, worked out once at decoration (layer 4)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


class Names:
    """The parameter names of a function. `positional` are those arguments by position fill.

    `bound` is how many of the first are never shown: a classmethod around a decorated function
    passes the class as an argument since Python 3.13.
    """

    __slots__ = ("bound", "gathers", "positional")

    def __init__(
        self,
        positional: tuple[str, ...] = (),
        gathers: str | None = None,
        bound: int = 0,
    ) -> None:
        self.positional = positional
        self.gathers = gathers
        self.bound = bound

    def __reduce__(self) -> Any:
        return Names, (self.positional, self.gathers, self.bound)

    def bind(self, args: Any, kwargs: dict[str, Any], skip: int) -> dict[str, Any]:
        """The arguments by name, in the order given. `skip` leaves out a bound first parameter."""
        if self.bound and not skip:
            args = args[self.bound :]
            skip = self.bound
        names = self.positional[skip:] if skip else self.positional
        bound: dict[str, Any] = dict(zip(names, args, strict=False))
        if len(args) > len(names):
            bound[self.gathers or "args"] = list(args[len(names) :])
        if kwargs:
            bound.update(kwargs)
        return bound


def names_of(function: Callable[..., Any]) -> Names:
    """The names of a callable; those of builtins without a signature are unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return Names()
    positional = tuple(
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    )
    gathers = [
        parameter.name for parameter in parameters if parameter.kind is parameter.VAR_POSITIONAL
    ]
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    in_class = bool(scope) and not scope.endswith("<locals>")
    bound = 1 if in_class and positional[:1] == ("cls",) else 0
    return Names(positional, gathers[0] if gathers else None, bound)
