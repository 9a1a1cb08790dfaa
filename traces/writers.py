"""Writers kept ready between the drainer's windows: making one costs more than a window."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traces import duck, forgetting, marks, rollups
from traces.engine import Connection, Stale, Tables
from traces.idle import Idle
from traces.rollups import Touched

if TYPE_CHECKING:
    import duckdb

IDLE = Idle(1)


@contextmanager
def writing(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store to write, its schema brought up to date; closing folds its log into the file."""
    with _lent(path) as connection:
        duck.attach_alone(connection, path)
        yield connection


def stored_version(path: Path) -> int:
    """Return the schema version of a store's file."""
    with _lent(path) as connection:
        return duck.attach_unchanged(connection, path)


@contextmanager
def _lent(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a connection to attach a store to; after an error it is closed and not lent again."""
    with duck.naming(path.name):
        connection = IDLE.take(path) or duck.writer(path)
        try:
            yield connection
        except BaseException:  # passed on
            connection.close()
            raise
        if duck.let_go(connection):
            IDLE.keep(path, connection)
        else:
            connection.close()


class DuckWriting:
    """The store opened to write."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def marks(self) -> dict[str, int]:
        return marks.stored(self.connection)

    def add(self, tables: Tables, ends: Mapping[str, int], seen: Mapping[str, int]) -> None:
        """Commit rows and marks together; raises Unfit, or Stale when the marks are not those `seen`."""
        stored = marks.stored(self.connection)
        if any(stored.get(segment, 0) != seen.get(segment, 0) for segment in ends):
            raise Stale
        with self.transaction():
            self.append(tables)
            rollups.roll(self.connection, rollups.touched(self.connection, tables))
            self.mark(ends)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is done within it, or nothing."""
        self.connection.begin()
        try:
            yield
        except BaseException:  # rolled back, and passed on
            self.connection.rollback()
            raise
        self.connection.commit()

    def append(self, tables: Tables) -> None:
        duck.append(self.connection, tables)

    def mark(self, ends: Mapping[str, int]) -> None:
        marks.put(self.connection, ends)

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Ask the stored tables, uncommitted rows included."""
        reading = duck.DuckReading(self.connection, "the store", Touched(), exporting=True)
        return [row for batch in reading.batches(sql, params, 1000) for row in batch]

    def has_turn(self, turn_id: str) -> bool:
        cursor = self.connection.execute("select 1 from turns where turn_id = $1", [turn_id])
        return cursor.fetchone() is not None

    @property
    def shared(self) -> Connection:
        return self.connection

    def alone(self) -> None:
        return  # whoever has the file open to write is

    def rebuild(self) -> None:
        rollups.rebuild(self.connection)

    def forget_texts(self, before: datetime) -> tuple[int, int]:
        return forgetting.forget_texts(self.connection, before)

    def erase_user(
        self, user_id: str, more_turns: Collection[str], cases: Collection[str]
    ) -> tuple[set[str], int]:
        return forgetting.erase_user(self.connection, user_id, more_turns, cases)
