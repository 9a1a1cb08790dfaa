"""Readers kept ready between page refreshes: making one costs fifty times what attaching the store does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from traces import duck, views
from traces.errors import Refused
from traces.idle import Idle

if TYPE_CHECKING:
    import duckdb

IDLE = Idle(4)


@contextmanager
def reading(path: Path, *, exporting: bool, own: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a reader with the store attached, `own` rows of a workspace to see or not.

    Raises StoreBusy, StoreDamaged or StoreVersion.
    """
    with duck.naming(path.name):
        ready = None if exporting else IDLE.take(path)
        connection = ready or duck.reader(path, exporting=exporting)
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
        IDLE.keep(path, connection)
