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

_BESIDE = 8  # times as many turns are looked at for those of one workspace
FEW, SHORT = 100, 10_000  # rows of an answer, characters of its question, that are remembered
Search = Callable[[Sought, datetime, datetime, int], list[str] | None]


class Ledger:
    """One reader's view of the store and the live tail, good for one page refresh.

    Tables are `turns, payloads, spans, passages, usages, scores, runs, cases` and `score_history`.
    SQL is the subset PostgreSQL and DuckDB share; values are bound as `$name`. The column
    runs."only" is a reserved word and must be quoted. `hidden_bytes` counts journal bytes that were
    too many to read live; they show once drained.
    """

    def __init__(
        self,
        answers: Answers,
        hidden_bytes: int = 0,
        search: Search | None = None,
        workspace: str | None = None,
    ) -> None:
        self._answers = answers
        self._workspace = workspace  # whose rows alone are seen; None: all
        self._search = search
        self._answered: dict[str, list[dict[str, Any]]] = {}
        self.hidden_bytes = hidden_bytes

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Return the answer as one dict per row, JSON columns decoded, times in UTC."""
        question = f"{sql} {params}" if params else sql
        if question in self._answered:  # figures of a page share questions
            return [dict(row) for row in self._answered[question]]
        rows = [row for batch in self.batches(sql, **params) for row in batch]
        if len(rows) <= FEW and len(question) <= SHORT:
            self._answered[question] = [dict(row) for row in rows]
        return rows

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
        if self._workspace is not None:
            raise Refused("SQL reads the whole ledger: ask it of all workspaces together, not of one")
        if not isinstance(self._answers, Asking):
            raise Refused("this ledger is on another server; ask it there with a read-only account")
        return self._answers.ask(sql, most, seconds)

    def search(self, sought: Sought, since: datetime, until: datetime, most: int) -> list[str] | None:
        """Return the newest turns with these words, newest first; None where no index knows them all."""
        if self._search is None:
            return None
        if self._workspace is None:
            return self._search(sought, since, until, most)
        every = self._search(sought, since, until, most * _BESIDE)
        return None if every is None else self._own(every, most, whole=len(every) < most * _BESIDE)

    def _own(self, ids: list[str], most: int, *, whole: bool) -> list[str] | None:
        """Return those of the turns that may be seen; None when others could hide more of them."""
        sql = "select turn_id from turns where turn_id in (select unnest(cast($ids as text[])))"
        seen = {row["turn_id"] for row in self.rows(sql, ids=ids)}
        own = [turn_id for turn_id in ids if turn_id in seen]
        return own[:most] if whole or len(own) >= most else None

    def write_parquet(self, sql: str, out: Path) -> None:
        """Write the answer to a Parquet file; only a ledger opened with `exporting=True` may."""
        self._answers.write_parquet(sql, out)
