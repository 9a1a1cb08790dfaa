"""Small files that all machines share, beside the ledger; changes are numbered in the order of commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from traces.errors import StoreError
from traces.postgres.connection import connect, connected, naming, shown
from traces.postgres.tables import SCHEMA

if TYPE_CHECKING:
    import psycopg

_LOCK = 0x616E7366  # the advisory lock of whoever changes a file
_TABLE = b"""
create table if not exists shared.files
(name text primary key, content bytea, number bigint generated always as identity)
"""


class Shared:
    """The files within one transaction that nobody else's change comes between."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def changed(self, since: int) -> tuple[int, dict[str, bytes | None]]:
        """Return the number of the last change, and what changed after `since`; None where it was deleted."""
        rows = self._connection.execute(
            "select name, content, number from shared.files where number > %s order by number", [since]
        ).fetchall()
        return (rows[-1][2] if rows else since), {name: content for name, content, _ in rows}

    def put(self, name: str, content: bytes | None) -> None:
        """Change a file; None deletes it."""
        self._connection.execute("delete from shared.files where name = %s", [name])
        self._connection.execute("insert into shared.files (name, content) values (%s, %s)", [name, content])


class SharedFiles:
    """Opens the files at an address; raises StoreError. Use it under a lock."""

    def __init__(self, address: str) -> None:
        self.name = shown(address)
        self._address = address
        self._asking: psycopg.Connection | None = None  # kept: it is asked twice a second

    def changed(self, since: int) -> tuple[int, dict[str, bytes | None]]:
        """Return what `Shared.changed` does, without waiting for whoever changes something now."""
        try:
            self._asking = self._asking or connect(self._address, self.name)
            with naming(self.name):
                if self._asking.execute("select to_regclass('shared.files')").fetchone() == (None,):
                    return since, {}
                return Shared(self._asking).changed(since)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; a later use opens another."""
        before, self._asking = self._asking, None
        if before is not None:
            before.close()

    @contextmanager
    def writing(self) -> Iterator[Shared]:
        """Open them to change, all or nothing; one machine at a time."""
        with connected(self._address, self.name) as connection, naming(self.name), connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            connection.execute(SCHEMA)
            connection.execute(_TABLE)
            yield Shared(connection)
