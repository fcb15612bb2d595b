"""Reading what a browser posts, strictly (layer 5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator
from typing import Any, cast

from starlette.requests import Request

from afterword.asgi.limits import Limits
from afterword.asgi.origins import first_headers
from afterword.asgi.refusals import Refused

_ENTRY_FIELDS = ("data_id", "type", "value", "comment", "metadata", "created_at", "unset")
_MEDIA_TYPES = ("application/json", "text/plain")


async def json_body(request: Request, limits: Limits) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        Refused: 415, 413, 408, 400 or 422, by what is wrong with it.
    """
    headers = first_headers(request)
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() not in _MEDIA_TYPES or charset not in ("", "charset=utf-8"):
        raise Refused(415, "the body must be application/json, or text/plain that holds JSON")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "the body must not be compressed")
    data = await _bytes(request, limits, headers.get("content-length", "0"))
    try:
        value = _JSON.decode(data.decode())
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Refused(422, "the body must be a JSON object", "body")
    if _is_deeper(value, limits.depth):
        raise Refused(422, f"the body is nested deeper than {limits.depth}", "body")
    return cast("dict[str, Any]", value)


async def _bytes(request: Request, limits: Limits, declared: str) -> bytes:
    if declared.isdecimal() and int(declared[:18]) > limits.body_bytes:
        raise _too_large(limits)
    data = bytearray()

    def take(chunk: bytes) -> None:
        data.extend(chunk)
        if len(data) > limits.body_bytes:
            raise _too_large(limits)

    try:
        await receive(request, limits.read_timeout_s, take)
    except TimeoutError:
        # HTTP/2 has no such header; there a stream ends without its connection.
        closing = {"Connection": "close"} if request.get("http_version", "1.1")[0] == "1" else None
        raise Refused(408, "the body took too long to arrive", headers=closing) from None
    return bytes(data)


async def receive(request: Request, timeout_s: float, take: Callable[[bytes], None]) -> None:
    """Hand the pieces of a body to `take`.

    Raises:
        TimeoutError: it has not arrived within the time.
    """
    stream = request.stream()
    until_s: float | None = None
    while True:
        step = stream.__anext__()
        try:
            # Most bodies are here by now, and need no deadline to be set and taken back.
            pending = step.send(None)
        except StopIteration as ready:
            take(ready.value)
            continue
        except StopAsyncIteration:
            return
        if until_s is None:
            until_s = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(until_s):
                piece = await _Resumed(step, pending)
        except StopAsyncIteration:
            return
        take(piece)


class _Resumed:
    """Awaits what has begun already, and waits for `pending` now."""

    __slots__ = ("_pending", "_step")

    def __init__(self, step: Any, pending: Any) -> None:
        self._step = step
        self._pending = pending

    def __await__(self) -> Generator[Any, Any, bytes]:
        pending = self._pending
        while True:
            try:
                try:
                    sent = yield pending
                except BaseException as error:
                    pending = self._step.throw(error)
                else:
                    pending = self._step.send(sent)
            except StopIteration as ready:
                return cast("bytes", ready.value)


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"the body must be at most {limits.body_bytes} bytes")


def feedback_entries(body: dict[str, Any], limits: Limits) -> list[dict[str, Any]]:
    """The entries of a body in either of its two forms, their shape checked.

    Raises:
        Refused: 422 that names the field.
    """
    if "feedback" in body:
        given = body["feedback"]
        _check_fields(body, ("token", "feedback"), "")
        if not isinstance(given, list) or not given:
            raise Refused(422, "feedback must be a list of entries", "feedback")
        entries: list[Any] = given
        if len(entries) > limits.entries:
            raise Refused(422, f"feedback must have at most {limits.entries} entries", "feedback")
        return [_entry(entry, limits, f"feedback[{index}].") for index, entry in enumerate(entries)]
    return [_entry({k: v for k, v in body.items() if k != "token"}, limits, "")]


def _entry(entry: Any, limits: Limits, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise Refused(422, f"{where.rstrip('.')} must be an object", where.rstrip("."))
    fields = cast("dict[str, Any]", entry)
    _check_fields(fields, _ENTRY_FIELDS, where)
    if not isinstance(fields.get("type"), str):
        raise Refused(422, f"{where}type is missing", f"{where}type")
    if "value" not in fields and not fields.get("unset"):
        raise Refused(422, f"{where}value is missing; null retracts", f"{where}value")
    if not isinstance(fields.get("data_id"), (str, type(None))):
        raise Refused(422, f"{where}data_id must be text", f"{where}data_id")
    for name in ("value", "comment"):
        text = fields.get(name)
        if isinstance(text, str) and len(text) > limits.text_chars:
            raise Refused(
                422,
                f"{where}{name} must be at most {limits.text_chars} characters",
                f"{where}{name}",
            )
    return {name: value for name, value in fields.items() if value is not None or name == "value"}


def token_list(body: dict[str, Any], limits: Limits) -> list[str]:
    """The tokens of a body of ``/mine``.

    Raises:
        Refused: 422 that names the field.
    """
    _check_fields(body, ("tokens",), "")
    tokens = body.get("tokens")
    if not isinstance(tokens, list):
        raise Refused(422, "tokens must be a list of texts", "tokens")
    found: list[Any] = tokens
    if not all(isinstance(token, str) for token in found):
        raise Refused(422, "tokens must be a list of texts", "tokens")
    if len(found) > limits.entries:
        raise Refused(422, f"tokens must have at most {limits.entries} entries", "tokens")
    return found


def _check_fields(fields: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in fields:
        if name not in known:
            raise Refused(
                422,
                f"unknown field {where}{name:.50}; known: {', '.join(known)}",
                f"{where}{name:.50}",
            )


def _is_deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    if depth == 0:
        return True
    items = cast("dict[str, Any]", value).values() if isinstance(value, dict) else value
    return any(_is_deeper(item, depth - 1) for item in cast("list[Any]", items))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return fields


_JSON = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_twins)
