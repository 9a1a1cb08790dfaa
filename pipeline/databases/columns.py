"""Columns that tables got later: added to the files and databases of an earlier version."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

WORKSPACE = "workspace text not null default 'default'"
Later = Mapping[str, Sequence[str]]  # by table, each as it is declared


def complete(db: sqlite3.Connection, later: Later) -> None:
    """Add the columns that a file lacks; its rows get their defaults."""
    for table, columns in later.items():
        for column in columns:
            if column.split()[0] not in _names(db, table):
                _add(db, table, column)


def statements(later: Later) -> str:
    """Return what adds them in PostgreSQL, as often as it is executed."""
    return "\n".join(
        f"alter table {table} add column if not exists {column};"
        for table, columns in later.items()
        for column in columns
    )


def _add(db: sqlite3.Connection, table: str, column: str) -> None:
    try:
        db.execute(f"alter table {table} add column {column}")
    except sqlite3.OperationalError:
        if column.split()[0] not in _names(db, table):  # else another process was faster
            raise


def _names(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"pragma table_info({table})").fetchall()}
