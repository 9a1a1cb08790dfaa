"""Tables of another room in PostgreSQL, worked on by the same statements as an SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from traces.errors import StoreBusy, StoreError, StoreVersion
from traces.postgres.connection import connect, naming, shown

if TYPE_CHECKING:
    import psycopg

_LOCK = 0x616E7374  # the advisory lock of whoever makes the tables
SILENT_SECONDS = 3.0  # what a turn waits for a server that went silent
ALMOST = 0.9  # of the patience: the time-out of connecting ends a little early
REST_SECONDS = 5.0  # after a silence nobody waits again for so long
SCHEMA = b"create schema if not exists shared; set search_path = shared"  # apart from the ledger


class SharedTables:
    """One connection, opened anew after a failure. Use it under a lock; raises StoreError.

    Who meets a silent server waits for `patience`; for some seconds after that others are refused at once.
    Statements are in the subset that SQLite and PostgreSQL share, with `?` for values.
    """

    notice: tuple[datetime, str] | None = None  # no file of theirs can be deleted here

    def __init__(
        self,
        address: str,
        schema: str,
        *,
        named: bool = False,
        patience: float | None = SILENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = shown(address)
        self._address = address
        self._schema = schema
        self._named = named  # rows by the names of their columns, else by their places
        self._patience = patience  # seconds that a silent server is waited for; None: without end
        self._clock = clock
        self._silence: StoreError | None = None
        self._rests_until = float("-inf")
        self._connection: psycopg.Connection | None = None

    def current(self) -> SharedTables:
        """Return what statements are executed by, connected and with its tables there."""
        if self._connection is None:
            with self._noticing():
                self._connection = self._connected()
        return self

    def _connected(self) -> psycopg.Connection:
        connection = connect(self._address, self.name, self._patience)
        try:
            with naming(self.name), connection.transaction():
                connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
                connection.execute(SCHEMA)
                connection.execute(self._schema.encode())
        except BaseException:  # closed, and passed on
            connection.close()
            raise
        return connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Execute a statement and return its cursor; "begin immediate" begins a transaction."""
        from psycopg import ClientCursor, ProgrammingError
        from psycopg.rows import dict_row, tuple_row

        connection = self.current()._connection
        assert connection is not None
        if statement == "begin immediate":
            statement = "begin"
        try:
            with self._noticing(), naming(self.name):
                # a text of PostgreSQL cannot hold the character NUL
                clean = [value.replace("\0", "") if isinstance(value, str) else value for value in values]
                cursor = ClientCursor(connection, row_factory=dict_row if self._named else tuple_row)
                return cursor.execute(statement.replace("?", "%s").encode(), clean)
        except StoreError:
            self.close()
            raise
        except ProgrammingError as error:
            self.close()
            raise StoreVersion(
                f"{self.name} holds tables of another version of this program; update the older one: {error}"
            ) from error

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Note a silence; refuse at once while the last one is young."""
        began = self._clock()
        if self._silence is not None and began < self._rests_until:
            raise StoreError(str(self._silence)) from self._silence
        try:
            yield
        except StoreError as error:
            waited, busy = self._clock() - began, isinstance(error, StoreBusy)
            self._silence = None
            if self._patience is not None and waited > ALMOST * self._patience and not busy:
                self._silence, self._rests_until = error, self._clock() + REST_SECONDS
            raise

    def close(self) -> None:
        """Close the connection; a later use opens another."""
        before, self._connection = self._connection, None
        if before is not None:
            before.close()
