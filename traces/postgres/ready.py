"""Connections kept ready between page refreshes: a new one has to learn the catalog, which takes long."""

from __future__ import annotations

import atexit
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from traces.postgres.connection import CONNECT_SECONDS, connect

if TYPE_CHECKING:
    import psycopg

MOST = 2  # kept; the server has few to give
IDLE_SECONDS = 60.0
_ready: list[tuple[int, str, float, psycopg.Connection]] = []  # of this process: a fork must not use them


@contextmanager
def lent(address: str, name: str) -> Iterator[psycopg.Connection]:
    """Lend a connection to who leaves no transaction behind; raises StoreError."""
    import psycopg

    connection = _take(address) or connect(address, name)
    try:
        yield connection
    except BaseException:  # the connection is closed, the error passed on
        connection.close()
        raise
    try:
        connection.execute("discard all")  # locks and settings of a person's question
    except psycopg.Error:
        connection.close()
    else:
        _keep(address, connection)


def _take(address: str) -> psycopg.Connection | None:
    for row in list(_ready):
        pid, place, since, connection = row
        if pid != os.getpid() or place != address:
            continue
        try:
            _ready.remove(row)
        except ValueError:  # another thread was faster
            continue
        if time.monotonic() - since < IDLE_SECONDS and _alive(connection):
            return connection
        connection.close()
    return None


def _alive(connection: psycopg.Connection) -> bool:
    """Ask the server for a sign of life, which a dead or silent one does not give in time."""
    import psycopg

    wire = connection.pgconn
    try:
        wire.send_query(b"select 1")
        waiting = select.poll()
        waiting.register(wire.socket, select.POLLIN)
        while wire.is_busy():
            if not waiting.poll(CONNECT_SECONDS * 1000):
                return False
            wire.consume_input()
        while wire.get_result() is not None:
            pass
    except psycopg.Error:
        return False
    return not connection.closed


def _keep(address: str, connection: psycopg.Connection) -> None:
    _ready.append((os.getpid(), address, time.monotonic(), connection))
    while len(_ready) > MOST:
        pid, _, _, oldest = _ready.pop(0)
        if pid == os.getpid():
            oldest.close()


@atexit.register
def _close() -> None:
    for pid, _, _, connection in _ready:
        if pid == os.getpid():
            connection.close()
    _ready.clear()
