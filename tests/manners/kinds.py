"""The callable kinds, each as a decorated one and its bare twin, and one way to use them all."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import afterword

_SUBJECTS = Path(__file__).with_name("subjects.py")


def _load(name: str, decorate: Callable[[Any], Any]) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, _SUBJECTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.decorate = decorate  # type: ignore[attr-defined]
    sys.modules[name] = module  # so that pickle finds what is in it
    spec.loader.exec_module(module)
    return module


# Of one length, so that what is shown of them differs in nothing else.
BARE = _load("subjects_bare", lambda function: function)
LOGGED = _load("subjects_logd", afterword.generation)


@dataclasses.dataclass(frozen=True)
class Kind:
    """How to find one callable in a module of subjects."""

    name: str
    #: The decorated object, as it is asked and copied.
    find: Callable[[ModuleType], Any]
    #: Where it is an attribute of: the owner and the name.
    owner: Callable[[ModuleType], tuple[Any, str]]
    #: Calls it with the arguments that follow.
    call: Callable[..., Any]
    #: How many frames of ours may stand in a traceback.
    frames: int = 1


def _function(name: str, frames: int = 1) -> Kind:
    return Kind(
        name,
        lambda module: getattr(module, name),
        lambda module: (module, name),
        lambda module, *args, **kwargs: getattr(module, name)(*args, **kwargs),
        frames,
    )


def _method(name: str, frames: int = 1, kind: str = "Bot") -> Kind:
    return Kind(
        name if kind == "Bot" else f"{kind}.{name}",
        lambda module: getattr(getattr(module, kind)(), name),
        lambda module: (getattr(module, kind), name),
        lambda module, *args, **kwargs: getattr(getattr(module, kind)(), name)(*args, **kwargs),
        frames,
    )


KINDS = [
    *map(
        _function, ("plain", "awaited", "returns_coroutine", "returns_awaitable", "returns_future")
    ),
    *map(
        _function, ("sayer", "async_sayer", "partial", "unnamed", "cached", "overloaded", "generic")
    ),
    _function("generator", 2),
    _function("async_generator", 2),
    _function("returns_generator", 2),
    _function("returns_async_generator", 2),
    _function("returns_iterable", 2),
    _function("returns_async_iterable", 2),
    _function("returns_tuple", 2),
    _function("awaits_generator", 2),
    _function("awaits_async_generator", 2),
    _function("generator_based", 2),
    _function("stream_sayer", 2),
    *map(_method, ("method", "async_method", "class_inside", "class_outside", "static_inside")),
    *map(_method, ("static_outside", "async_class")),
    _method("generator_method", 2),
    _method("async_generator_method", 2),
    _method("say", kind="Record"),
    _method("say", kind="Slotted"),
    _method("say", kind="Box"),
    Kind(
        "unbound",
        lambda module: module.Bot.method,
        lambda module: (module.Bot, "method"),
        lambda module, *args, **kwargs: module.Bot.method(module.Bot(), *args, **kwargs),
    ),
    Kind(
        "own_call",
        lambda module: module.Bot().__call__,
        lambda module: (module.Bot, "__call__"),
        lambda module, *args, **kwargs: module.Bot()(*args, **kwargs),
    ),
    Kind(
        "property",
        lambda module: module.Asked.answer.fget,
        lambda module: (module.Asked, "answer"),
        lambda module, *args, **kwargs: module.Asked(*args, **kwargs).answer,
    ),
]

kinds = {kind.name: kind for kind in KINDS}


def neutral(value: Any) -> str:
    """What is shown of a value, without addresses and without which twin it is of."""
    text = value if isinstance(value, str) else repr(value)
    text = re.sub(r" cb=\[[^]]*\]|Task-\d+", "", text)  # who waits for a task is not its own
    for module in (BARE, LOGGED):
        text = text.replace(module.__name__, "subjects")
    parts = text.split(" at 0x")
    return parts[0] + "".join(part.lstrip("0123456789abcdef") for part in parts[1:])


async def used(result: Any) -> list[Any]:
    """Use a result to its end, as whoever gets it would; what there was to see."""
    seen: list[Any] = [neutral(result.__class__), *_asked(result)]
    if inspect.isawaitable(result):
        seen.append(await used(await result))
    elif hasattr(result, "__anext__") or hasattr(result, "__aiter__"):
        seen.append([chunk async for chunk in result])
    elif inspect.isgenerator(result):
        seen.append([*result, getattr(result, "gi_frame", None)])
    elif isinstance(result, tuple):
        seen.append([await used(item) for item in result])
    elif hasattr(result, "__iter__"):
        seen.append(list(result))
    else:
        seen.append(result)
    return seen


_QUESTIONS = (
    inspect.isawaitable, inspect.iscoroutine, inspect.isgenerator, inspect.isasyncgen,
    inspect.isfunction, callable, asyncio.isfuture,
)  # fmt: skip


def _asked(result: Any) -> list[bool]:
    return [ask(result) for ask in _QUESTIONS]


def run(use: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(use)
