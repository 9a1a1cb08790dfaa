"""Small files that all machines share, beside the ledger; changes are numbered in the order of commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from traces.errors import StoreError
from traces.postgres.connection import connect, connected, naming, shown
from traces.postgres.tables import SCHEMA

if TYPE_CHECKING:
    import psycopg

_LOCK = 0x616E7366  # the advisory lock of whoever makes the table
_TABLE = b"""
create table if not exists shared.files
(name text primary key, content bytea, number bigint generated always as identity)
"""
_CHANGED = """
select name, content, number from shared.files
where number > %s and split_part(name, '/', 1) = any(%s) order by number
"""


class FilesInTransaction:
    """The files within one transaction that nobody else's change comes between."""

    def __init__(self, connection: psycopg.Connection, parts: Sequence[str]) -> None:
        self._connection = connection
        self._parts = list(parts)

    def changed(self, since: int) -> tuple[int, dict[str, bytes | None]]:
        """Return the number of the last change, and what changed after `since`; None where it was deleted."""
        rows = self._connection.execute(_CHANGED, [since, self._parts]).fetchall()
        return (rows[-1][2] if rows else since), {name: content for name, content, _ in rows}

    def newest(self) -> int:
        """Return the number of the last change, 0 before any."""
        sql = "select coalesce(max(number), 0) from shared.files where split_part(name, '/', 1) = any(%s)"
        row = self._connection.execute(sql, [self._parts]).fetchone()
        return row[0] if row else 0

    def put(self, name: str, content: bytes | None) -> None:
        """Change a file; None deletes it."""
        self._connection.execute("delete from shared.files where name = %s", [name])
        self._connection.execute("insert into shared.files (name, content) values (%s, %s)", [name, content])


class SharedFiles:
    """Opens files at an address; raises StoreError. Use it under a lock.

    `parts` are the first parts of their names; who changes files of other parts is not waited for.
    """

    def __init__(self, address: str, parts: Sequence[str]) -> None:
        self.name = shown(address)
        self._address = address
        self._parts = tuple(parts)
        self._asking: psycopg.Connection | None = None  # kept: it is asked twice a second

    def changed(self, since: int) -> tuple[int, dict[str, bytes | None]]:
        """Return what `FilesInTransaction.changed` does, without waiting for whoever changes it now."""
        try:
            self._asking = self._asking or connect(self._address, self.name)
            with naming(self.name):
                if not _there(self._asking):
                    return since, {}
                return FilesInTransaction(self._asking, self._parts).changed(since)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; a later use opens another."""
        before, self._asking = self._asking, None
        if before is not None:
            before.close()

    @contextmanager
    def writing(self) -> Iterator[FilesInTransaction]:
        """Open them to change, all or nothing; one machine at a time."""
        with connected(self._address, self.name) as connection, naming(self.name):
            if not _there(connection):
                _make(connection)
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(%s)", [_number(self._parts)])
                yield FilesInTransaction(connection, self._parts)


def _there(connection: psycopg.Connection) -> bool:
    return connection.execute("select to_regclass('shared.files')").fetchone() != (None,)


def _make(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(SCHEMA)
        connection.execute(_TABLE)


def _number(parts: Sequence[str]) -> int:
    """Return the number of the advisory lock of those who change files of these parts."""
    return int.from_bytes(hashlib.blake2b("/".join(parts).encode(), digest_size=8).digest(), signed=True)
