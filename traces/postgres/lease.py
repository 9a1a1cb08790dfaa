"""A lease that one process of all machines holds: the server frees it when its holder is gone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from traces.postgres.connection import connect, naming, shown

if TYPE_CHECKING:
    import psycopg

SILENT_SECONDS = 3.0  # what one who asks waits for a server that went silent


class Lease:
    """Held by a connection of its own until it is released."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def release(self) -> None:
        """Give the lease back."""
        self._connection.close()


class Leases:
    """Leases by name in the PostgreSQL at an address; raises StoreError."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._name = shown(address)

    def take(self, name: str) -> Lease | None:
        """Take the lease; None while somebody else holds it."""
        connection = connect(self._address, self._name, SILENT_SECONDS)
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
        try:
            with naming(self._name):
                row = connection.execute("select pg_try_advisory_lock(%s)", [number]).fetchone()
        except BaseException:  # closed, and passed on
            connection.close()
            raise
        if row == (True,):
            return Lease(connection)
        connection.close()
        return None
