"""A table as statements: one line per row, each cell beside the head of its column."""

from __future__ import annotations

import re
from collections.abc import Sequence

Grid = Sequence[Sequence[str]]
NEAR = 3.0  # points by which the columns of one table differ from page to page
MOST = 2 / 3  # of the cells of a column that make it one of figures
_FIGURE = re.compile(r"\s*[^\w\s]{0,2}\s*(?:[A-Z]{2,3}\s)?\d")
_MARK = re.compile(r".*:$|\W?\d{1,2}\W?$|\W$")  # a label with its colon, or the mark of a list's item
_YEAR = re.compile(r"\s*(?:19|20)\d\d\s*$")


def statements(grid: Grid, heads: int | None = None) -> list[str]:
    """Return a line per row: "Tool: Drill; Price: 21.00"; without heads the cells beside each other.

    `heads` is the number of head rows, None when the file does not say.
    """
    return Heads().statements(grid, heads)


class Heads:
    """The heads of the table read last, for the rows of it that follow on another page."""

    def __init__(self) -> None:
        self._heads: list[str] = []
        self._edges: tuple[float, ...] = ()

    def statements(self, grid: Grid, heads: int | None = None, edges: tuple[float, ...] = ()) -> list[str]:
        """Return a line per row as `statements` does; `edges` are the places of the columns, in points."""
        rows = [[" ".join(cell.split()) for cell in row] for row in grid]
        rows = [row for row in rows if any(row)]
        if not rows:
            return []
        count = head_rows(rows) if heads is None else min(heads, len(rows))
        if heads is None and not count and self._go_on(edges):
            return [_statement(row, self._heads) for row in rows]
        self._heads, self._edges = _heads(rows[:count]), edges
        if count == len(rows) or max(map(len, rows)) == 1:
            return [" | ".join(cell for cell in row if cell) for row in rows]
        return [_statement(row, self._heads) for row in rows[count:]]

    def _go_on(self, edges: tuple[float, ...]) -> bool:
        """Say whether columns stand where those of the last table with heads stood."""
        return (
            bool(self._heads)
            and len(edges) == len(self._edges) > 0
            and all(abs(edge - other) <= NEAR for edge, other in zip(edges, self._edges, strict=True))
        )


def head_rows(rows: Grid) -> int:
    """Guess the number of head rows: one when the first row names columns that hold something else."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return 0
    first = rows[0]
    if not all(first[1:]) or first[0].endswith(":") or like_its_columns(rows):
        return 0
    columns = figures(rows[1:])
    if len(first) == 2 and first[0]:
        return int(len(rows) > 2 and 1 in columns)  # else a label beside its value
    return int(bool(columns) or not any(re.search(r"\d", cell) for cell in first))


def like_its_columns(rows: Grid) -> bool:
    """Say whether the first row holds a figure where the rows below do; a year may be a head."""
    first = rows[0]
    return any(
        _FIGURE.match(first[place]) and not _YEAR.match(first[place])
        for place in figures(rows[1:])
        if place < len(first)
    )


def figures(rows: Grid) -> list[int]:
    """Return the columns in which most filled cells begin with a figure."""
    columns: list[int] = []
    for place in range(max(map(len, rows), default=0)):
        cells = [row[place] for row in rows if place < len(row) and row[place].strip()]
        if cells and sum(bool(_FIGURE.match(cell)) for cell in cells) >= MOST * len(cells):
            columns.append(place)
    return columns


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
            return f"{first} {rest[0]}" if _MARK.match(first) else f"{first}: {rest[0]}"
        return " | ".join(cell for cell in row if cell)
    if len({cell for cell in row if cell}) == 1 and len(row) > 1:
        return next(cell for cell in row if cell)  # a heading over the whole width
    cells = [
        f"{heads[place]}: {cell}" if place < len(heads) and heads[place] else cell
        for place, cell in enumerate(row)
        if cell
    ]
    return "; ".join(cells)
