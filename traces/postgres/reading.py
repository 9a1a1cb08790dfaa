"""One snapshot of the ledger in PostgreSQL, with the live tail of this host's journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traces import rollups
from traces.errors import Refused
from traces.postgres import dialect, rolling
from traces.postgres.connection import naming
from traces.rollups import Touched
from traces.rows import TABLES

if TYPE_CHECKING:
    import pandas
    import psycopg

COUNTS = {
    table: (
        f"select count(*) from json_populate_recordset(null::{dialect.STORED}.{table},"  # noqa: S608 - constants
        f" current_setting('{dialect.setting(table)}')::json)"
    ).encode()
    for table in TABLES
}


def begin(connection: psycopg.Connection, seconds: int) -> None:
    """Begin a transaction that sees one state and can write nothing."""
    connection.execute(
        "begin transaction isolation level repeatable read read only;"
        f" set local statement_timeout = '{seconds}s'; set local timezone = 'UTC';"
        # compiling a question takes longer than answering it out of rollups
        f" set local search_path = {dialect.READ}; set local jit = off".encode()
    )


def restrict(connection: psycopg.Connection, workspace: str) -> None:
    """Let what is asked in this transaction from here on see a workspace's own rows alone."""
    connection.execute("select set_config(%s, %s, true)", [dialect.WORKSPACE, workspace])
    connection.execute(f"set local search_path = {dialect.OWN}".encode())


def marks(connection: psycopg.Connection, journal: str) -> dict[str, int]:
    positions = connection.execute(
        f"select segment, drained_to from {dialect.STORED}.marks"  # noqa: S608 - a constant
        " where segment >= %s and segment < %s".encode(),
        [f"{journal}/", f"{journal}0"],
    )
    return {segment.partition("/")[2]: end for segment, end in positions.fetchall()}


_SUPERUSER = (
    "the ledger's user is a superuser of PostgreSQL, who may read the server's files;"
    " give ANSWERDECK_LEDGER a user of its own to ask questions here"
)


class PostgresReading:
    """Answers questions within one snapshot."""

    def __init__(self, connection: psycopg.Connection, name: str, touched: Touched) -> None:
        self._connection = connection
        self._name = name
        self._touched: Touched | None = touched  # by the live tail, and its rollups not made yet

    def _prepare(self, sql: str) -> None:
        """Roll the live tail up before the first question about rollups."""
        if self._touched is not None and self._touched.hours and rollups.ASKED.search(sql):
            rolling.roll_live(self._connection, self._touched)
            self._touched = None

    def batches(self, sql: str, params: Mapping[str, Any], size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows in lists of `size`, JSON columns decoded."""
        names: list[str] = []
        for cursor, batch in self._batches(sql, params, size):
            names = names or [column.name for column in cursor.description or ()]
            yield [dict(zip(names, row, strict=True)) for row in batch]

    def columns(self, sql: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer as one array a column; for many rows of numbers without a null."""
        import numpy

        with naming(self._name), self._connection.cursor() as cursor:
            self._prepare(sql)
            cursor.execute(dialect.bound(sql).encode(), params)
            names = [column.name for column in cursor.description or ()]
            columns = zip(*cursor.fetchall(), strict=True)
            arrays = [column if isinstance(column[0], list) else numpy.array(column) for column in columns]
            return dict(zip(names, arrays or [numpy.array(())] * len(names), strict=True))

    def frame(self, sql: str, params: Mapping[str, Any]) -> pandas.DataFrame:
        """Return the answer as a dataframe; JSON columns stay text."""
        import pandas

        with naming(self._name), self._connection.cursor() as cursor:
            self._prepare(sql)
            cursor.execute(dialect.bound(sql).encode(), params)
            names = [column.name for column in cursor.description or ()]
            return pandas.DataFrame(map(_flat, cursor.fetchall()), columns=pandas.Index(names))

    def ask(self, sql: str, most: int, seconds: float) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and at most so many rows of one SELECT a person wrote; raises Refused."""
        import psycopg

        if self._scalar("select current_setting('is_superuser')") == "on":
            raise Refused(_SUPERUSER)
        statement = sql.strip().rstrip(";").replace("%", "%%")
        whole = f"select * from ({statement}\n) as asked limit %(most)s"  # noqa: S608 - it can only read
        try:
            # with a parameter the protocol takes one statement alone; the transaction only reads
            self._prepare(sql)
            with self._connection.transaction(force_rollback=True), self._connection.cursor() as cursor:
                cursor.execute(f"set local statement_timeout = {int(seconds * 1000)}".encode())
                cursor.execute(whole.encode(), {"most": most})
                return tuple(column.name for column in cursor.description or ()), cursor.fetchall()
        except psycopg.errors.QueryCanceled:
            raise Refused(
                f"stopped: it took longer than {seconds:g} s; narrow it, by time for example"
            ) from None
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
            raise Refused(str(error)) from None
        except psycopg.InternalError as error:  # it tried to write
            raise Refused(str(error)) from None

    def _scalar(self, sql: str) -> Any:
        row = self._connection.execute(sql.encode()).fetchone()
        return row[0] if row else None

    def write_parquet(self, sql: str, out: Path) -> None:
        """Write the answer to a Parquet file, a batch at a time."""
        import pyarrow
        from pyarrow import parquet

        kinds = {
            "int8": pyarrow.int64(),
            "float8": pyarrow.float64(),
            "bool": pyarrow.bool_(),
            "timestamptz": pyarrow.timestamp("us", "UTC"),
        }
        with naming(self._name), self._connection.cursor() as head:
            head.execute(f"select * from ({_selecting(sql)}) as every limit 0".encode())  # noqa: S608
            fields = [(item.name, kinds.get(item.type_display)) for item in head.description or ()]
        schema = pyarrow.schema([(name, kind or pyarrow.string()) for name, kind in fields])
        with parquet.ParquetWriter(out, schema, compression="zstd") as file:
            for _, batch in self._batches(_selecting(sql), {}, 2000):
                values = [list(column) for column in zip(*map(_flat, batch), strict=True)]
                arrays = [
                    pyarrow.array(value, field.type) for value, field in zip(values, schema, strict=True)
                ]
                file.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))

    def _batches(
        self, sql: str, params: Mapping[str, Any], size: int
    ) -> Iterator[tuple[psycopg.Cursor, list[tuple[Any, ...]]]]:
        with naming(self._name), self._connection.cursor() as cursor:
            self._prepare(sql)
            batch: list[tuple[Any, ...]] = []
            for row in cursor.stream(dialect.bound(sql).encode(), params):
                batch.append(row)
                if len(batch) == size:
                    yield cursor, batch
                    batch = []
            if batch:
                yield cursor, batch


def _selecting(sql: str) -> str:
    return f"select * from {sql.removeprefix('table ')}" if sql.startswith("table ") else sql  # noqa: S608


def _flat(row: Sequence[Any]) -> list[Any]:
    return [json.dumps(value) if isinstance(value, dict | list) else value for value in row]
