"""What a browser is told when its request is refused (layer 5)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response


class Refused(Exception):
    """A refusal: a status, why, and which field is to blame."""

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.body: dict[str, Any] = {"detail": detail}
        if field is not None:
            self.body["errors"] = [{"field": field, "message": detail}]

    @classmethod
    def for_now(cls, wait_s: float) -> Refused:
        """Too many requests; they may come again in so many seconds."""
        wait = str(max(1, math.ceil(wait_s)))
        return cls(429, f"too many requests; try again in {wait} s", headers={"Retry-After": wait})

    def response(self) -> Response:
        """The refusal as JSON."""
        return json_response(self.body, self.status, self.headers)


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response of JSON, which holds any text, lone surrogates included."""
    try:
        content = _encode(body)
    except UnicodeEncodeError:
        content = json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    return Response(content, status, headers, "application/json")


_encode = msgspec.json.Encoder().encode
