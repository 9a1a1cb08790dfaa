"""Questions asked of the ledger: SQL text with named parameters in, rows or a frame out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from traces import duck

if TYPE_CHECKING:
    import duckdb
    import pandas


class Ledger:
    """One reader's view of the store and the live tail, good for one page refresh.

    Tables are `turns, payloads, spans, passages, usages, scores, runs, cases` and `score_history`.
    SQL is the subset PostgreSQL and DuckDB share; values are bound as `$name`. The column
    runs."only" is a reserved word and must be quoted. `hidden_bytes` counts journal bytes that were
    too many to read live; they show once drained.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, name: str = "traces", hidden_bytes: int = 0
    ) -> None:
        self._connection = connection
        self._name = name
        self.hidden_bytes = hidden_bytes

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Return the answer as one dict per row, JSON columns decoded, times in UTC."""
        return [row for batch in self.batches(sql, **params) for row in batch]

    def batches(self, sql: str, size: int = 1000, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows in lists of `size`; nothing else may be asked before the last is taken."""
        with duck.naming(self._name):
            answer = self._connection.execute(sql, params)
            names = [column[0] for column in answer.description or ()]
            json_at = [column[0] for column in answer.description or () if str(column[1]) == "JSON"]
            while found := answer.fetchmany(size):
                batch = [dict(zip(names, row, strict=True)) for row in found]
                for row in batch if json_at else ():
                    for name in json_at:
                        if row[name] is not None:
                            row[name] = orjson.loads(row[name])
                yield batch

    def frame(self, sql: str, **params: Any) -> pandas.DataFrame:
        """Return the answer as a dataframe; JSON columns stay text."""
        with duck.naming(self._name), warnings.catch_warnings():
            # DuckDB 2.0 drops columns in a way that pandas 3.1 deprecates
            warnings.filterwarnings("ignore", message="The inplace keyword", category=DeprecationWarning)
            return self._connection.execute(sql, params).df()

    def write_parquet(self, sql: str, out: Path) -> None:
        """Write the answer to a Parquet file; only a ledger opened with `exporting=True` may."""
        with duck.naming(self._name):
            self._connection.sql(sql).write_parquet(str(out), compression="zstd", overwrite=True)
