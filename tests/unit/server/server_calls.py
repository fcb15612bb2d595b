"""What the tests of the Logs pages do all the time: log, review, collect links."""

from __future__ import annotations

import html
import re
from typing import Any

from starlette.testclient import TestClient

from afterword.client import Client

HOST = "http://logs.example"


def log(client: Client, **fields: Any) -> str:
    given: dict[str, Any] = {"inputs": {"question": "How?"}, "output": "So.", **fields}
    return client.log(**given)


def review(web: TestClient, data_id: str, **form: Any) -> Any:
    return web.post(
        f"generations/{data_id}/feedback",
        data=form,
        headers={"Origin": HOST},
        follow_redirects=False,
    )


def hrefs(page: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r'(?:href|action)="([^"]*)"', page)]
