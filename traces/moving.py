"""Carries a ledger from one engine to another and proves by counts and sums that all of it arrived."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import orjson

from traces.engine import StoreWindow
from traces.errors import StoreBusy, StoreError
from traces.ledger import Ledger
from traces.records import json_columns
from traces.rows import TABLES, Row, stored_columns
from traces.store import Store

_BATCH = 1000
_SAME = 1e-9  # sums of floats depend on the order of the rows


@dataclass(frozen=True, slots=True)
class Moved:
    """What of a table arrived, with how many figures agreed."""

    table: str
    rows: int
    figures: int


def move(source: Store, target: Store) -> list[Moved]:
    """Copy all rows and marks in one transaction; raises StoreError, and changes nothing, unless all agree.

    Both stores are of one data folder. Nobody may drain meanwhile; the source stays as it is.
    """
    with source.alone() as won:
        if not won:
            pid = source.health().drainer
            raise StoreBusy(f"process {pid} drains this data folder; stop it and try again")
        source.drain_now()
        with source.engine.window() as window:
            marks = window.marks()
        with source.read(exporting=True) as ledger, target.engine.window() as window, window.transaction():
            done = _moved(ledger, source.engine.schema, window, marks)
        target.engine.survey()
        return done


def _moved(ledger: Ledger, schema: str, window: StoreWindow, marks: dict[str, int]) -> list[Moved]:
    """Copy within the target's transaction, then compare; raises StoreError."""
    done: list[Moved] = []
    for table in TABLES:
        statement = _figures(table)
        before = window.rows(statement.format(schema=""))[0]
        came = ledger.rows(statement.format(schema=f"{schema}."))[0]
        for rows in _batches(ledger, schema, table):
            window.append({table: rows})
        after = window.rows(statement.format(schema=""))[0]
        wrong = [name for name in came if not _adds_up(before[name], came[name], after[name])]
        if wrong:
            raise StoreError(f"table {table}: {', '.join(wrong)} differ after the copy; nothing was moved")
        done.append(Moved(table, came["rows"], len(came)))
    twice = window.rows("select count(*) - count(distinct turn_id) as n from turns")[0]["n"]
    if twice:
        raise StoreError(f"the target holds {twice} of these turns already; nothing was moved")
    window.rebuild()
    window.mark(marks)
    return done


def _batches(ledger: Ledger, schema: str, table: str) -> Iterator[list[Row]]:
    """Yield a stored table's rows as its columns want them, JSON as text."""
    names, inside = stored_columns(table), json_columns(TABLES[table])
    listed = ", ".join(f'"{name}"' for name in names)
    for batch in ledger.batches(f"select {listed} from {schema}.{table}", _BATCH):  # noqa: S608 - constants
        yield [
            tuple(
                orjson.dumps(row[name]).decode() if name in inside and row[name] is not None else row[name]
                for name in names
            )
            for row in batch
        ]


def _figures(table: str) -> str:
    """Return the question for a table's figures: rows, and a sum, span or length of every column."""
    record, inside = TABLES[table], json_columns(TABLES[table])
    hints = get_type_hints(record)
    columns = ["count(*) as rows"]
    for field in fields(record):
        kind, column = str(hints[field.name]), f'"{field.name}"'
        if field.name in inside:
            columns.append(f'count({column}) as "{field.name}"')
        elif "datetime" in kind:
            columns.append(f'sum(extract(epoch from {column})) as "{field.name}"')
        elif "bool" in kind:
            columns.append(f'count(*) filter (where {column}) as "{field.name}"')
        elif "int" in kind or "float" in kind:
            columns.append(f'sum({column}) as "{field.name}"')
        else:
            columns.append(f'sum(length({column})) as "{field.name}"')
    return f"select {', '.join(columns)} from {{schema}}{table}"  # noqa: S608 - constants


def _adds_up(before: Any, came: Any, after: Any) -> bool:
    if came is None:
        return before == after
    expected = (before or 0) + came
    return math.isclose(expected, after or 0, rel_tol=_SAME, abs_tol=_SAME)
