"""A table as statements: one line per row, each cell beside the head of its column."""

from __future__ import annotations

import re
from collections.abc import Sequence

Grid = Sequence[Sequence[str]]


def statements(grid: Grid, heads: int | None = None) -> list[str]:
    """Return a line per row: "Tool: Drill; Price: 21.00"; without heads the cells beside each other.

    `heads` is the number of head rows, None when the file does not say.
    """
    rows = [[" ".join(cell.split()) for cell in row] for row in grid]
    rows = [row for row in rows if any(row)]
    if not rows:
        return []
    count = head_rows(rows) if heads is None else min(heads, len(rows))
    if count == len(rows) or max(map(len, rows)) == 1:
        return [" | ".join(cell for cell in row if cell) for row in rows]
    heads_of = _heads(rows[:count])
    return [_statement(row, heads_of) for row in rows[count:]]


def head_rows(rows: Grid) -> int:
    """Guess the number of head rows: one when the first row alone is full of words without figures."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return 0
    first = rows[0]
    if not all(first[1:]) or any(re.search(r"\d", cell) for cell in first) or first[0].endswith(":"):
        return 0
    if len(first) > 2 or not first[0]:
        return 1
    return int(any(re.search(r"\d", row[1]) for row in rows[1:] if len(row) > 1))


def _heads(rows: Grid) -> list[str]:
    """Join head rows column by column, each word group once."""
    width = max(map(len, rows), default=0)
    heads: list[str] = []
    for column in range(width):
        parts = [row[column] for row in rows if column < len(row) and row[column]]
        heads.append(" ".join(dict.fromkeys(parts)).rstrip(":"))
    return heads


def _statement(row: Sequence[str], heads: Sequence[str]) -> str:
    if not heads:
        first, rest = row[0], [cell for cell in row[1:] if cell]
        if len(rest) == 1 and first:
            return f"{first} {rest[0]}" if first.endswith(":") else f"{first}: {rest[0]}"
        return " | ".join(cell for cell in row if cell)
    if len({cell for cell in row if cell}) == 1 and len(row) > 1:
        return next(cell for cell in row if cell)  # a heading over the whole width
    cells = [
        f"{heads[place]}: {cell}" if place < len(heads) and heads[place] else cell
        for place, cell in enumerate(row)
        if cell
    ]
    return "; ".join(cells)
