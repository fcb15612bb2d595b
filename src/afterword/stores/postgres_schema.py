"""PostgreSQL: connections, the schema and its partitions, and errors of ours (layer 2)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, LiteralString, cast
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import errors as failures
from psycopg import sql
from psycopg_pool import ConnectionPool, PoolTimeout

from afterword.errors import StoreBusy, StoreError, StoreTooNew, StoreUnavailable
from afterword.stores.sql import migrations

CONNECT_TIMEOUT_S = 5
POOL_SIZE = 8

#: Holds the migrations of servers that start at once apart; any number that nobody else takes.
_SCHEMA_LOCK = 0x41465457
#: Writers share it, and who removes records has it alone: nothing is written past a removal.
REMOVAL_LOCK = _SCHEMA_LOCK + 1
#: Months have partitions of their own between these years; other times share one.
_YEARS = range(2015, 2100)
_PARTITION = re.compile(r"generations_(\d{4})_(\d{2})\Z")
#: A password may be among the settings behind the question mark, too.
_PASSWORD_SETTING = re.compile(r"(?i)((?:^|&)(?:ssl)?password=)[^&]*")

Connection = psycopg.Connection[tuple[Any, ...]]


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    place, mark, query = url.partition("?")
    try:
        parts = urlsplit(place)
        if parts.password is not None:
            host = parts.netloc.rpartition("@")[2]
            place = urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))
    except ValueError:
        return f"{url.partition(':')[0]}:..."
    return place + mark + _PASSWORD_SETTING.sub(r"\1***", query)


_SETTINGS = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "afterword"}


def connected(url: str) -> Connection:
    """One connection, or at once the reason why there is none."""
    return psycopg.connect(url, **cast("Any", _SETTINGS))


def open_pool(url: str) -> ConnectionPool[Connection]:
    """A pool of connections, opened when it is first needed; take them with `borrowed`."""
    return ConnectionPool(
        url,
        kwargs=_SETTINGS,
        min_size=0,
        max_size=POOL_SIZE,
        timeout=CONNECT_TIMEOUT_S,
        reconnect_timeout=CONNECT_TIMEOUT_S,
        open=True,
        name="afterword",
    )


@contextmanager
def borrowed(pool: ConnectionPool[Connection]) -> Generator[Connection]:
    """A connection that works now.

    The pool would check it, too, but waits a second and more between one that was cut and the next,
    and after a restart all of them are.
    """
    for _ in range(POOL_SIZE):
        with pool.connection() as connection:
            if not _works(connection):
                connection.close()  # so that the pool makes another
                continue
            yield connection
            return
    with pool.connection() as connection:
        yield connection


def _works(connection: Connection) -> bool:
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.OperationalError:
        return False
    return True


def migrate(connection: Connection, shown: str) -> None:
    """Bring the schema up to date, in one transaction; servers that start at once take turns.

    Raises:
        StoreTooNew: a newer version of Afterword was here.
    """
    scripts: list[LiteralString] = cast("Any", migrations("postgres"))
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        connection.execute("CREATE TABLE IF NOT EXISTS afterword_schema (version INT NOT NULL)")
        version = schema_version(connection)
        if version > len(scripts):
            raise StoreTooNew(
                f"{shown} was written by a newer version of Afterword; upgrade to open it"
            )
        if version == len(scripts):
            return
        for script in scripts[version:]:
            connection.execute(script)
        connection.execute("DELETE FROM afterword_schema")
        connection.execute("INSERT INTO afterword_schema VALUES (%s)", (len(scripts),))


def schema_version(connection: Connection) -> int:
    """How many migrations the database has seen."""
    row = connection.execute("SELECT version FROM afterword_schema").fetchone()
    return 0 if row is None else int(row[0])


def months_of(times: Iterable[int]) -> set[tuple[int, int]]:
    """The months, of those that have partitions, that these microseconds fall into."""
    months: set[tuple[int, int]] = set()
    for time in times:
        try:
            moment = datetime.fromtimestamp(time / 1_000_000, UTC)
        except (OverflowError, ValueError, OSError):
            continue
        if moment.year in _YEARS:
            months.add((moment.year, moment.month))
    return months


def make_partition(connection: Connection, month: tuple[int, int]) -> None:
    """Make a month's partition unless it is there.

    A server that does not know that another one dropped it may have put rows of that month among
    those of other times; then they stay there, and so does what comes.
    """
    year, number = month
    name = f"generations_{year}_{number:02d}"
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    create = sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} PARTITION OF generations FOR VALUES FROM ({}) TO ({})"
    ).format(sql.Identifier(name), sql.Literal(_start(month)), sql.Literal(_start(following)))
    with suppress(failures.CheckViolation), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        connection.execute(create)


def partition_before(name: str, until: int) -> bool:
    """Whether all of a month's partition lies before a time."""
    found = _PARTITION.match(name)
    if found is None:
        return False
    year, number = int(found[1]), int(found[2])
    return _start((year + 1, 1) if number == 12 else (year, number + 1)) <= until


def _start(month: tuple[int, int]) -> int:
    return int(datetime(*month, 1, tzinfo=UTC).timestamp()) * 1_000_000


@contextmanager
def errors_of(shown: str) -> Generator[None]:
    """Turn what the driver raises into errors of ours that name the database, and no password."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(f"cannot reach {shown}: no connection within the time") from error
    except (
        failures.SerializationFailure,
        failures.DeadlockDetected,
        failures.LockNotAvailable,
        failures.TooManyConnections,
        failures.OutOfMemory,
        failures.QueryCanceled,
    ) as error:
        raise StoreBusy(f"{shown} is busy: {_first_line(error)}") from error
    except (failures.DiskFull, failures.ReadOnlySqlTransaction) as error:
        raise StoreUnavailable(f"{shown} takes nothing now: {_first_line(error)}") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StoreUnavailable(f"cannot reach {shown}: {_first_line(error)}") from error
    except psycopg.Error as error:
        raise StoreError(f"{shown} refused: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
