"""Connections to PostgreSQL, and what it says about itself as errors of this room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from traces.errors import StoreBusy, StoreError

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 3
_SPACE = "has no space left"
_REFUSED = "refuses the name or the password"
_REPLICA = "is a read-only replica: give the address of the primary"


@contextmanager
def connected(address: str, name: str) -> Iterator[psycopg.Connection]:
    """Open a connection for as long as it is used; raises StoreError."""
    with connect(address, name) as connection:
        yield connection


def connect(address: str, name: str) -> psycopg.Connection:
    """Open a connection, each statement its own transaction unless one is begun; raises StoreError."""
    import psycopg

    with naming(name):
        try:
            connection = psycopg.connect(
                address,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
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
        raise StoreError(f"{what} {_REPLICA}") from error
    except errors.DiskFull as error:
        raise StoreError(f"{what} {_SPACE}") from error
    except errors.InsufficientPrivilege as error:
        raise StoreError(f"{what} does not let its user do that: {_line(error)}") from error
    except psycopg.OperationalError as error:
        refused = "password" in str(error) or "authentication" in str(error)
        why = _REFUSED if refused else f"cannot be reached: {_line(error)}"
        raise StoreError(f"{what} {why}") from error


def shown(address: str) -> str:
    """Return an address without what may be secret."""
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    return f"postgresql://{place}{parts.path}"


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _number_loader() -> type[Any]:
    """Return what reads `numeric` as DuckDB gives it: sums of integers whole, averages as floats."""
    from psycopg.adapt import Loader

    class Number(Loader):
        def load(self, data: Any) -> int | float:
            text = bytes(data).decode()
            return int(text) if text.lstrip("-").isdigit() else float(text)

    return Number
