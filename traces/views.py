"""The views that readers of the embedded store ask: with the journal's live tail, or without one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_SQL = Path(__file__).parent / "schema" / "views.sql"
_LIVE = re.compile(
    r"\s+union all by name select \* from live\.\w+|\s+where \w+ not in \(select \w+ from live\.\w+\)"
    r"|create table live\.[^;]+;"
)


@cache
def whole() -> str:
    """Return the statements that make the views of stored and live rows as one."""
    return _SQL.read_text()


@cache
def settled() -> str:
    """Return those of the stored rows alone: a question of them costs half as much."""
    return _LIVE.sub("", whole())
