"""The embedded store opened to write together with the index of words beside it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from traces.engine import Tables
from traces.rows import columns
from traces.words import Entry, Words
from traces.writers import DuckWriting

if TYPE_CHECKING:
    import duckdb

Result = TypeVar("Result")
_ENTRY = itemgetter(*map(columns("turns").index, ("turn_id", "started_at", "question", "answer")))
_COUNTS = {"main": "select count(*) from turns", "stored": "select count(*) from stored.turns"}
log = logging.getLogger(__name__)


class Indexed(DuckWriting):
    """Writes rows, then their words. The words are not part of the transaction: `index` evens that out."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, words: Words) -> None:
        super().__init__(connection)
        self._words = words

    def add(self, tables: Tables, ends: Mapping[str, int], seen: Mapping[str, int]) -> None:
        super().add(tables, ends, seen)
        self._guarded(lambda: self._words.add(entries(tables)))

    def erase_user(
        self, user_id: str, more_turns: Collection[str], cases: Collection[str]
    ) -> tuple[set[str], int]:
        self._words.clear()  # it keeps no texts, so words cannot be taken out one by one
        return super().erase_user(user_id, more_turns, cases)

    def index(self, most: int) -> bool:
        """Index the next turns that are not indexed; returns whether every turn is."""
        filled_to, whole, number = self._guarded(self._words.state) or ("", False, 0)
        if whole and number == count(self.connection, "main"):
            return True
        if whole:  # a window before was not finished
            self._words.clear()
            filled_to = ""
        turns = _next(self.connection, filled_to, most)
        self._guarded(lambda: self._words.fill(turns, last=len(turns) < most))
        return len(turns) < most

    def _guarded(self, work: Callable[[], Result]) -> Result | None:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            log.warning("the index of words is made anew: %s", error)
            with suppress(OSError):
                self._words.clear()
        return None


def count(connection: duckdb.DuckDBPyConnection, schema: Literal["main", "stored"]) -> int:
    """Count the stored turns; DuckDB knows the number without looking at them."""
    [(number,)] = connection.execute(_COUNTS[schema]).fetchall()
    return number


def _next(connection: duckdb.DuckDBPyConnection, after: str, most: int) -> list[Any]:
    sql = """select turn_id, started_at, question, answer from turns
        where turn_id in (select turn_id from turns where turn_id > $after order by turn_id limit $most)
        order by turn_id"""
    return connection.execute(sql, {"after": after, "most": most}).fetchall()


def entries(tables: Tables) -> list[Entry]:
    """Return what the index needs of new turns."""
    result: list[Entry] = []
    for row in tables.get("turns", ()):
        turn_id, began, question, answer = _ENTRY(row)
        moment = datetime.fromisoformat(began) if isinstance(began, str) else began
        result.append((turn_id, moment, question, answer))
    return result
