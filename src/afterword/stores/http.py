"""The remote store: another Afterword server, by its URL (layer 2).

Every request is over within its whole time, every reply is bounded, no redirect is followed, and an
answer that is not the server's own acknowledgement counts as the server being away.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from afterword.errors import (
    ConfigError,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreTooLarge,
    StoreUnavailable,
)
from afterword.feedback.rows import FeedbackRow
from afterword.model import FeedbackType
from afterword.redaction import Hidden
from afterword.stores.http_deadline import DeadlineTransport
from afterword.stores.protocol import Query, as_json_definition, from_json_definition
from afterword.stores.remote import MEDIA_TYPE, PATH, Answer, Call, Rows
from afterword.stores.rows import GenerationRow, Stored

REQUEST_S = 10.0
#: Connections are made anew after this time, so that a server that moved is found by its name.
CONNECTIONS_S = 300.0
REPLY_BYTES = 64_000_000
#: Of an answer that is not the server's own, so much is looked at.
OTHER_BYTES = 65_536
#: Larger batches go in several requests; the server takes 20 MB and 10,000 rows.
REQUEST_BYTES = 12_000_000
REQUEST_ROWS = 5_000

_COMPRESSED_FROM_BYTES = 1_024
_MAX_RATIO = 50
_MAX_RETRY_AFTER_S = 900.0
_AWAY = frozenset({404, 405, 408, 421, 425, 429})

_HEADERS = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode


def open_store(url: str, api_key: str | None = None) -> HttpStore:
    """``http://host:port`` or ``https://host/path``, where a server's root is.

    Raises:
        ConfigError: the URL names no host, or more than a server's root.
    """
    try:
        parts = urlsplit(url)
        names_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ConfigError("the server's URL has no usable host and port") from None
    if "@" in parts.netloc:
        raise ConfigError("the server's URL holds a secret; put the key into AFTERWORD_API_KEY")
    if not names_host or parts.query or parts.fragment or not url.isascii() or " " in url:
        raise ConfigError(
            f"{url!r:.200} is no server's URL; write https://host or https://host/path"
        )
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigError("AFTERWORD_API_KEY is not a key: it has characters no key has")
    return HttpStore(url.rstrip("/"), api_key)


class _Opened(NamedTuple):
    client: httpx.Client
    transport: DeadlineTransport
    at_s: float


class HttpStore:
    """Records on an Afterword server. Safe from any thread.

    Errors carry `retry_after_s` where the server said when to come back.
    """

    is_local = False

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        request_s: float = REQUEST_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._api_key = None if api_key is None else Hidden(api_key)
        self._request_s = request_s
        self._lock = threading.Lock()
        self._clock_s = clock_s
        self._opened: _Opened | None = None
        self._former: _Opened | None = None

    def __repr__(self) -> str:
        return f"<HttpStore {self.url}>"

    def open(self) -> None:
        self.facts()

    def facts(self) -> dict[str, str]:
        return self._call("facts", Call(), _TEXTS_BY_NAME)

    def write(
        self, generations: Sequence[GenerationRow], feedback: Sequence[FeedbackRow]
    ) -> Stored:
        is_long = len(generations) > REQUEST_ROWS
        rows = [] if is_long else list(generations)
        body = _encoded(Rows(generations=rows, feedback=list(feedback)))
        if is_long or (len(body) > REQUEST_BYTES and len(rows) > 1):
            # Generations are idempotent, so parts of a batch that come twice do no harm.
            middle = len(generations) // 2
            before = self.write(generations[:middle], [])
            stored = self.write(generations[middle:], feedback)
            stored.known |= before.known
            return stored
        return self._send("write", body, _stored)

    def generation(self, data_id: str, project: str | None = None) -> GenerationRow | None:
        return self._call("generation", Call(data_id=data_id, project=project), _GENERATION)

    def by_ids(self, data_ids: Sequence[str]) -> list[GenerationRow]:
        return self._call("by_ids", Call(data_ids=list(data_ids)), _GENERATIONS)

    def project_of(self, data_id: str) -> str | None:
        return self._call("project_of", Call(data_id=data_id), _MAYBE_TEXT)

    def generations(self, query: Query) -> list[GenerationRow]:
        return self._call("generations", Call(query=query), _GENERATIONS)

    def history(self, data_ids: Sequence[str], project: str | None = None) -> list[FeedbackRow]:
        return self._call("history", Call(data_ids=list(data_ids), project=project), _FEEDBACK)

    def resolve(self, external_id: str, project: str | None = None) -> str | None:
        return self._call("resolve", Call(external_id=external_id, project=project), _MAYBE_TEXT)

    def put_alias(self, project: str, external_id: str, data_id: str) -> None:
        self._call(
            "put_alias", Call(project=project, external_id=external_id, data_id=data_id), _NOTHING
        )

    def feedback_types(self, project: str) -> dict[str, FeedbackType]:
        found = self._call("feedback_types", Call(project=project), _TEXTS_BY_NAME)
        return {name: from_json_definition(text) for name, text in found.items()}

    def put_feedback_type(self, project: str, definition: FeedbackType) -> None:
        body = as_json_definition(definition)
        self._call("put_feedback_type", Call(project=project, body=body), _NOTHING)

    def projects(self) -> list[str]:
        return self._call("projects", Call(), _TEXTS)

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """Apart from the server's own settings, which hold its secrets and are its alone."""
        kept = self._call("setting", Call(name=name), _MAYBE_TEXT)
        if kept is None:
            kept = self._call("make_setting", Call(name=name, body=make()), _TEXT)
        return kept

    def document(self, kind: str, project: str, name: str) -> str | None:
        return self._call("document", Call(kind=kind, project=project, name=name), _MAYBE_TEXT)

    def documents(self, kind: str, project: str | None = None) -> list[tuple[str, str, str]]:
        return self._call("documents", Call(kind=kind, project=project), _DOCUMENTS)

    def put_document(
        self, kind: str, project: str, name: str, body: str, *, replace: bool = True
    ) -> str:
        call = Call(kind=kind, project=project, name=name, body=body, replace=replace)
        return self._call("put_document", call, _TEXT)

    def drop_document(self, kind: str, project: str, name: str) -> bool:
        return self._call("drop_document", Call(kind=kind, project=project, name=name), _BOOL)

    def erase(self, user: str, project: str | None = None) -> int:
        return self._call("erase", Call(user=user, project=project), _INT)

    def drop_before(self, until: int) -> int:
        raise StoreError(f"old records are removed where {self.url} keeps them, not from afar")

    def forget_after_fork(self) -> None:
        # Closing the parent's connections would end its TLS sessions; leak them instead.
        _LEAKED.append((self._opened, self._former))
        self._opened, self._former, self._lock = None, None, threading.Lock()

    def close(self) -> None:
        with self._lock:
            every, self._opened, self._former = (self._opened, self._former), None, None
        for opened in every:
            if opened is not None:
                opened.client.close()

    def _call(self, name: str, call: Call, read: Callable[[Answer], T]) -> T:
        return self._send(name, _encoded(call), read)

    def _send(self, name: str, body: bytes, read: Callable[[Answer], T]) -> T:
        headers = httpx.Headers(_HEADERS)  # whose repr shows no key
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if len(body) >= _COMPRESSED_FROM_BYTES:
            small = gzip.compress(body, 1, mtime=0)
            if len(body) <= len(small) * _MAX_RATIO:  # what shrinks more, servers take for a bomb
                body, headers["Content-Encoding"] = small, "gzip"
        client, transport, _ = self._connection()
        try:
            with (
                transport.within(self._request_s),
                client.stream(
                    "POST", f"{self.url}{PATH}{quote(name)}", content=body, headers=headers
                ) as response,
            ):
                content = _bounded(response)
        except httpx.TimeoutException as error:
            raise StoreUnavailable(
                f"{self.url} did not answer within {self._request_s:g} s"
            ) from error
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as error:
            told = str(error) or type(error).__name__
            raise StoreUnavailable(f"cannot reach {self.url}: {told:.200}") from error
        self._check(response, content)
        try:
            return read(_ANSWER.decode(content))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise StoreUnavailable(
                f"{self.url} answered what no server answers: {error}"
            ) from error

    def _check(self, response: httpx.Response, content: bytes) -> None:
        """Raise what an answer other than the acknowledgement means."""
        status = response.status_code
        kind = _kind(response)
        if status == 200 and kind == MEDIA_TYPE:
            return
        if 300 <= status < 400:
            told = "it points elsewhere; give AFTERWORD_URL as the server itself"
        elif kind == "application/json":
            told = _detail(content)
        else:
            told = f"no Afterword server answers {status} with {kind or 'nothing'!s:.50}"
        message = f"{self.url} answered {status}: {told}"
        if status == 413:  # the proxies in front of a server say so, too
            raise StoreTooLarge(message)
        if kind == "application/json" and status in (401, 403):
            raise StoreRefused(message)
        if status < 400 or status >= 500 or status in _AWAY or kind != "application/json":
            error: StoreError = (
                StoreBusy(message) if status in (429, 503) else StoreUnavailable(message)
            )
            error.retry_after_s = _retry_after_s(response)
            raise error
        raise StoreError(message)

    def _connection(self) -> _Opened:
        opened = self._opened
        if opened is not None and self._clock_s() - opened.at_s < CONNECTIONS_S:
            return opened
        with self._lock:
            if self._opened is not opened and self._opened is not None:
                return self._opened
            # Whatever the one before last was asked is over by now.
            former, self._former = self._former, opened
            transport = DeadlineTransport()
            client = httpx.Client(
                transport=transport,
                follow_redirects=False,
                timeout=self._request_s,
                trust_env=False,
            )
            self._opened = opened = _Opened(client, transport, self._clock_s())
        if former is not None:
            former.client.close()
        return opened


_LEAKED: list[Any] = []
_ANSWER = msgspec.msgpack.Decoder(Answer)


def _reader(kind: Any) -> Callable[[Answer], Any]:
    return lambda answer: msgspec.convert(answer.result, kind)


def _stored(answer: Answer) -> Stored:
    return Stored(_FEEDBACK(answer), answer.known)


_NOTHING: Callable[[Answer], None] = _reader(None)
_BOOL: Callable[[Answer], bool] = _reader(bool)
_INT: Callable[[Answer], int] = _reader(int)
_TEXT: Callable[[Answer], str] = _reader(str)
_MAYBE_TEXT: Callable[[Answer], str | None] = _reader(str | None)
_TEXTS: Callable[[Answer], list[str]] = _reader(list[str])
_TEXTS_BY_NAME: Callable[[Answer], dict[str, str]] = _reader(dict[str, str])
_DOCUMENTS: Callable[[Answer], list[tuple[str, str, str]]] = _reader(list[tuple[str, str, str]])
_GENERATION: Callable[[Answer], GenerationRow | None] = _reader(GenerationRow | None)
_GENERATIONS: Callable[[Answer], list[GenerationRow]] = _reader(list[GenerationRow])
_FEEDBACK: Callable[[Answer], list[FeedbackRow]] = _reader(list[FeedbackRow])


def _encoded(body: Rows | Call) -> bytes:
    try:
        return _encode(body)
    except (UnicodeEncodeError, OverflowError) as error:
        raise StoreError(f"what is to be sent cannot be written down: {error}") from error


def _bounded(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise httpx.DecodingError("the answer is compressed, which was not asked for")
    content = bytearray()
    is_ours = response.status_code == 200 and _kind(response) == MEDIA_TYPE
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > REPLY_BYTES:
            raise httpx.DecodingError(f"the answer is longer than {REPLY_BYTES:,} bytes")
        if not is_ours and len(content) > OTHER_BYTES:
            break
    return bytes(content)


def _kind(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _detail(content: bytes) -> str:
    """What a failure says; of an answer that is none of ours, that it is none."""
    try:
        found = msgspec.json.decode(content, type=_Failure)
    except (msgspec.MsgspecError, RecursionError):
        return "in a way no Afterword server does"
    return found.detail[:500]


class _Failure(msgspec.Struct):
    detail: str


def _retry_after_s(response: httpx.Response) -> float | None:
    given = response.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdecimal():
        return min(float(given[:9]), _MAX_RETRY_AFTER_S)
    try:
        left_s = parsedate_to_datetime(given).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(left_s, 0.0), _MAX_RETRY_AFTER_S)
