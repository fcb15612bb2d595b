"""What a decorated callable does when it is called, by its kind (layer 4).

Each of these is the one frame that a decorated function adds to a traceback.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from afterword.capture.calls import (
    arguments_of,
    begin,
    end_ok,
    end_raised,
    note_fault,
    prepare,
    quietly,
)
from afterword.capture.records import Call, Spec
from afterword.capture.results import PLAIN, follow, received
from afterword.capture.signatures import Logged
from afterword.capture.streams import stream, unrecorded
from afterword.capture.strictness import wait
from afterword.context import set_active

#: Takes the spec, the callable, what it is bound to, its arguments, and whether the ID is wanted.
Act = Callable[..., Any]


def call_plain(
    spec: Spec, wrapped: Any, instance: Any, args: Any, kwargs: Any, logged: bool = False
) -> Any:
    call = _begun(spec, args, kwargs, 0 if instance is None else 1)
    if call is None:
        return Logged(wrapped(*args, **kwargs), None) if logged else wrapped(*args, **kwargs)
    set_active(call)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        set_active(call.before)
        quietly(call.client, end_raised, call, error)
        if call.waiter is not None:
            quietly(call.client, wait, call)
        raise
    set_active(call.before)
    try:
        if type(result) in PLAIN:
            end_ok(call, result)
        else:
            result = received(call, result, (instance, *args))
        if call.waiter is not None:
            wait(call)
    except Exception as error:
        note_fault(call.client, "recording an output", error)
    return Logged(result, call.data_id) if logged else result


def _begun(spec: Spec, args: Any, kwargs: Any, skip: int) -> Call | None:
    try:
        call = prepare(spec, args, kwargs, skip)
        if call is not None:
            begin(call)
        return call
    except Exception as error:
        note_fault(spec.client, "beginning a generation", error)
        return None


def call_async(
    spec: Spec, wrapped: Any, instance: Any, args: Any, kwargs: Any, logged: bool = False
) -> Any:
    awaitable = wrapped(*args, **kwargs)
    try:
        skip = 0 if instance is None else 1
        arguments = arguments_of(spec, args, kwargs, skip)
        return follow(awaitable, spec, None, arguments, skip, (instance,), logged)
    except Exception as error:
        note_fault(spec.client, "beginning a generation", error)
    return unlogged(awaitable) if logged else awaitable


async def unlogged(awaitable: Any) -> Logged[Any]:
    return Logged(await awaitable, None)


def call_stream(
    spec: Spec, wrapped: Any, instance: Any, args: Any, kwargs: Any, logged: bool = False
) -> Any:
    iterator = wrapped(*args, **kwargs)
    call = None
    try:
        call = prepare(spec, args, kwargs, 0 if instance is None else 1)
        iterator = unrecorded(iterator) if call is None else stream(iterator, call)
    except Exception as error:
        note_fault(spec.client, "beginning a stream", error)
    return Logged(iterator, None if call is None else call.data_id) if logged else iterator


def kind_of(function: Any) -> Act:
    """What calls of this callable do."""
    target = function
    while True:
        if isinstance(target, (classmethod, staticmethod)):
            target = target.__func__
        elif isinstance(target, functools.partial):
            target = target.func
        else:
            break
    for candidate in (target, getattr(type(target), "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(candidate) or _is_generator_based(candidate):
            return call_async
        if inspect.isasyncgenfunction(candidate) or inspect.isgeneratorfunction(candidate):
            return call_stream
    return call_plain


def _is_generator_based(function: Any) -> bool:
    """Whether `types.coroutine` made it: what it gives is awaited, not iterated."""
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


# --- while disabled ---------------------------------------------------------------------------


def disabled(act: Act) -> Act:
    """What calls do while AFTERWORD_DISABLED is set, beyond calling the function."""
    return {call_plain: _pass_plain, call_async: _pass_async, call_stream: _pass_stream}[act]


def _pass_plain(
    spec: Spec, wrapped: Any, instance: Any, args: Any, kwargs: Any, logged: bool = False
) -> Any:
    result = wrapped(*args, **kwargs)
    return Logged(result, None) if logged else result


def _pass_async(
    spec: Spec, wrapped: Any, instance: Any, args: Any, kwargs: Any, logged: bool = False
) -> Any:
    result = wrapped(*args, **kwargs)
    return unlogged(result) if logged else result


def _pass_stream(
    spec: Spec, wrapped: Any, instance: Any, args: Any, kwargs: Any, logged: bool = False
) -> Any:
    iterator = unrecorded(wrapped(*args, **kwargs))
    return Logged(iterator, None) if logged else iterator
