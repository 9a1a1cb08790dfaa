"""Readers kept ready between page refreshes: making one costs fifty times what attaching the store does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from traces import duck, views
from traces.errors import Refused

if TYPE_CHECKING:
    import duckdb

MOST = 4  # kept; each holds a thread and a few MB
_ready: list[tuple[int, Path, duckdb.DuckDBPyConnection]] = []  # of this process: a fork must not use them


@contextmanager
def reading(path: Path, *, exporting: bool, own: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a reader with the store attached, `own` rows of a workspace to see or not.

    Raises StoreBusy, StoreDamaged or StoreVersion.
    """
    with duck.naming(path.name):
        connection = duck.reader(path, exporting=True) if exporting else _take(path)
        try:
            if own:
                views.make_own(connection)
            duck.attach(connection, path)
            yield connection
        except Refused:  # a person's statement failed, the reader did not
            _give_back(path, connection, exporting)
            raise
        except BaseException:  # the connection is closed, the error passed on
            connection.close()
            raise
        _give_back(path, connection, exporting)


def _give_back(path: Path, connection: duckdb.DuckDBPyConnection, exporting: bool) -> None:
    if exporting or not duck.detach(connection):
        connection.close()
    else:
        _keep(path, connection)


def _take(path: Path) -> duckdb.DuckDBPyConnection:
    for reader in list(_ready):
        if reader[:2] == (os.getpid(), path):
            try:
                _ready.remove(reader)
            except ValueError:  # another thread was faster
                continue
            return reader[2]
    return duck.reader(path, exporting=False)


def _keep(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    _ready.append((os.getpid(), path, connection))
    while len(_ready) > MOST:
        pid, _, oldest = _ready.pop(0)
        if pid == os.getpid():
            oldest.close()
