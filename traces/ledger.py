"""Questions asked of the ledger: SQL text with named parameters in, rows or a frame out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traces.answers import Answers, Asking
from traces.errors import Refused
from traces.words import Sought

if TYPE_CHECKING:
    import pandas

Search = Callable[[Sought, datetime, datetime, int], list[str] | None]


class Ledger:
    """One reader's view of the store and the live tail, good for one page refresh.

    Tables are `turns, payloads, spans, passages, usages, scores, runs, cases` and `score_history`.
    SQL is the subset PostgreSQL and DuckDB share; values are bound as `$name`. The column
    runs."only" is a reserved word and must be quoted. `hidden_bytes` counts journal bytes that were
    too many to read live; they show once drained.
    """

    def __init__(self, answers: Answers, hidden_bytes: int = 0, search: Search | None = None) -> None:
        self._answers = answers
        self._search = search
        self._answered: dict[str, list[dict[str, Any]]] = {}
        self.hidden_bytes = hidden_bytes

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Return the answer as one dict per row, JSON columns decoded, times in UTC."""
        if params:
            return [row for batch in self.batches(sql, **params) for row in batch]
        if sql not in self._answered:  # several questions of a page begin with the same one
            self._answered[sql] = [row for batch in self.batches(sql) for row in batch]
        return [dict(row) for row in self._answered[sql]]

    def batches(self, sql: str, size: int = 1000, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows in lists of `size`; nothing else may be asked before the last is taken."""
        return self._answers.batches(sql, params, size)

    def columns(self, sql: str, **params: Any) -> dict[str, Any]:
        """Return the answer as one array a column; for many rows of numbers without a null."""
        return self._answers.columns(sql, params)

    def frame(self, sql: str, **params: Any) -> pandas.DataFrame:
        """Return the answer as a dataframe; JSON columns stay text."""
        return self._answers.frame(sql, params)

    def ask(self, sql: str, most: int, seconds: float) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and at most so many rows of one SELECT that a person wrote; raises Refused."""
        if not isinstance(self._answers, Asking):
            raise Refused("this ledger is on another server; ask it there with a read-only account")
        return self._answers.ask(sql, most, seconds)

    def search(self, sought: Sought, since: datetime, until: datetime, most: int) -> list[str] | None:
        """Return the newest turns with these words, newest first; None where no index knows them all."""
        return None if self._search is None else self._search(sought, since, until, most)

    def write_parquet(self, sql: str, out: Path) -> None:
        """Write the answer to a Parquet file; only a ledger opened with `exporting=True` may."""
        self._answers.write_parquet(sql, out)
