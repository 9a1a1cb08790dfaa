"""Connections to PostgreSQL, and what it says about itself as errors of this room."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from traces.errors import StoreBusy, StoreError

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 3
_LOST: Any = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 8000}
_SPACE = "has no space left"
_REFUSED = "refuses the name or the password"
_NO_DATABASE = "has no database of that name: create it, or mend the address"
REPLICA = "is a read-only replica: give the address of the primary"
_PASSING = ("too many c", "connection slots", "is starting up", "is shutting down", "in recovery mode")


@contextmanager
def connected(address: str, name: str) -> Iterator[psycopg.Connection]:
    """Open a connection for as long as it is used; raises StoreError."""
    with connect(address, name) as connection:
        yield connection


def connect(address: str, name: str, patience: float | None = None) -> psycopg.Connection:
    """Open a connection, each statement its own transaction unless one is begun; raises StoreError.

    With `patience` no statement waits for a silent server longer than so many seconds.
    """
    import psycopg

    kind = psycopg.Connection if patience is None else _patient(patience)
    with naming(name):
        try:
            connection = kind.connect(
                address,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                **_LOST,
                prepare_threshold=None,  # poolers hand connections around between transactions
                application_name="answerdeck",
            )
        except psycopg.ProgrammingError as error:
            raise StoreError(f"{name} is no address that libpq understands") from error
    connection.adapters.register_loader("numeric", _number_loader())
    return connection


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Raise what PostgreSQL says as our own errors; mistakes in SQL pass through."""
    import psycopg
    from psycopg import errors

    busy = (
        errors.LockNotAvailable,
        errors.QueryCanceled,
        errors.DeadlockDetected,
        errors.SerializationFailure,
        errors.TooManyConnections,
    )
    try:
        yield
    except busy as error:
        raise StoreBusy(f"{what} is busy ({_line(error)}); try again in a moment") from error
    except errors.ReadOnlySqlTransaction as error:
        raise StoreError(f"{what} {REPLICA}") from error
    except errors.DiskFull as error:
        raise StoreError(f"{what} {_SPACE}") from error
    except errors.InsufficientPrivilege as error:
        raise StoreError(f"{what} does not let its user do that: {_line(error)}") from error
    except (errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.OutOfMemory) as error:
        raise StoreError(f"{what} cannot answer so much at once: {_line(error)}") from error
    except psycopg.OperationalError as error:
        if any(words in str(error) for words in _PASSING):
            raise StoreBusy(f"{what} lets nobody in now ({_line(error)}); try again in a moment") from error
        raise StoreError(f"{what} {_why(error)}") from error


def _why(error: Exception) -> str:
    """Return why the server could not be asked."""
    text = str(error)
    if "No space left on device" in text:  # it lets nobody in any more
        return _SPACE
    if re.search(r'FATAL: +database "[^\n]*" does not exist', text):
        return _NO_DATABASE
    refused = "password" in text or "authentication" in text or 'role "' in text
    return _REFUSED if refused else f"cannot be reached: {_line(error)}"


def shown(address: str) -> str:
    """Return an address without what may be secret."""
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    return f"postgresql://{place}{parts.path}"


def _line(error: Exception) -> str:
    """Return the first line of what the server said, without how it was called."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.rpartition("FATAL:")[2].strip()[:200]


@cache
def _patient(seconds: float) -> type[psycopg.Connection]:
    """Return connections that give up on a server which went silent."""
    import psycopg

    def limited(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        until = time.monotonic() + seconds
        try:
            event = next(steps)
            while True:
                ready = yield event
                if time.monotonic() > until:
                    raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                event = steps.send(ready)
        except StopIteration as end:
            return end.value

    class Patient(psycopg.Connection):
        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            return super().wait(limited(gen), *arguments, **options)

    return Patient


def _number_loader() -> type[Any]:
    """Return what reads `numeric` as DuckDB gives it: sums of integers whole, averages as floats."""
    from psycopg.adapt import Loader

    class Number(Loader):
        def load(self, data: Any) -> int | float:
            text = bytes(data).decode()
            return int(text) if text.lstrip("-").isdigit() else float(text)

    return Number
