"""Tables drawn with lines: their cells are what the lines enclose, whatever the gaps in the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.knowledge.reading.grid import Heads
from pipeline.knowledge.reading.layout import Piece, arrange, unbroken

Rule = tuple[float, float, float, float]  # left, bottom, right, top of a straight line
NEAR = 4.0  # points within which lines are the same line, or touch
SHORT = 3.0  # points; what is shorter is a dot
MOST_RULES = 4_000  # of one page; more are a drawing
LONGEST_CELL = 800  # characters; a frame with more holds running text
FEW_ROWS = 2  # rows of lines that may hide more rows of text
MANY_LINES = 4


@dataclass(frozen=True, slots=True)
class Ruled:
    """A grid of lines: where its columns and rows begin and end, and the lines themselves."""

    across: tuple[float, ...]  # left to right
    down: tuple[float, ...]  # top to bottom
    rules: tuple[Rule, ...]

    def place(self, piece: Piece) -> tuple[int, int] | None:
        """Return row and column of a piece by its middle; None when it lies outside."""
        x, y = (piece.left + piece.right) / 2, piece.middle
        if not (self.across[0] < x < self.across[-1] and self.down[-1] < y < self.down[0]):
            return None
        return sum(y < edge for edge in self.down) - 1, sum(x > edge for edge in self.across) - 1

    def walled(self, row: int, column: int) -> bool:
        """Say whether a line stands at the right of a cell."""
        x, y = self.across[column + 1], (self.down[row] + self.down[row + 1]) / 2
        return any(
            abs((left + right) / 2 - x) <= NEAR and bottom <= y <= top
            for left, bottom, right, top in self.rules
            if right - left <= NEAR
        )

    def floored(self, row: int, column: int) -> bool:
        """Say whether a line lies under a cell."""
        x, y = (self.across[column] + self.across[column + 1]) / 2, self.down[row + 1]
        return any(
            abs((bottom + top) / 2 - y) <= NEAR and left <= x <= right
            for left, bottom, right, top in self.rules
            if top - bottom <= NEAR
        )


def arranged(pieces: Sequence[Piece], rules: Iterable[Rule], heads: Heads) -> list[str]:
    """Return the lines of a page in reading order, its ruled tables as statements."""
    left = [piece for piece in pieces if piece.text.strip()]
    texts: list[str] = []
    for table in _grids(rules):
        inside = [piece for piece in left if table.place(piece)]
        beside = [piece for piece in left if table.down[-1] < piece.middle < table.down[0]]
        if len(beside) > len(inside) or not inside:
            continue
        rows = _rows(table, inside, heads)
        if rows is None:
            continue
        above = [piece for piece in left if piece.middle >= table.down[0]]
        texts += [*arrange(above, heads), "", *rows, ""]
        left = [piece for piece in left if piece.middle <= table.down[-1]]
    return [*texts, *arrange(left, heads)]


def _grids(rules: Iterable[Rule]) -> list[Ruled]:
    """Return the grids that touching lines form, from the top; frames and drawings are none."""
    lines = [rule for rule in rules if max(rule[2] - rule[0], rule[3] - rule[1]) > SHORT]
    if len(lines) > MOST_RULES:
        return []
    grids: list[Ruled] = []
    for group in _touching(lines):
        across = _merged((left + right) / 2 for left, _, right, _ in group if right - left <= NEAR)
        down = _merged((bottom + top) / 2 for _, bottom, _, top in group if top - bottom <= NEAR)
        if len(across) >= 3 and len(down) >= 3:
            grids.append(Ruled(across, down[::-1], tuple(group)))
    return sorted(grids, key=lambda grid: -grid.down[0])


def _touching(lines: Sequence[Rule]) -> list[list[Rule]]:
    """Group lines that touch, swept from left to right."""
    groups: list[list[Rule]] = []
    boxes: list[list[float]] = []
    for line in sorted(lines):
        left, bottom, right, top = line
        met = [
            place
            for place, box in enumerate(boxes)
            if left <= box[2] + NEAR
            and bottom <= box[3] + NEAR
            and top >= box[1] - NEAR
            and any(_touch(line, other) for other in groups[place])
        ]
        group, box = [line], [left, bottom, right, top]
        for place in reversed(met):
            group += groups.pop(place)
            other = boxes.pop(place)
            box = [min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3])]
        groups.append(group)
        boxes.append(box)
    return groups


def _touch(rule: Rule, other: Rule) -> bool:
    return (
        rule[0] <= other[2] + NEAR
        and other[0] <= rule[2] + NEAR
        and rule[1] <= other[3] + NEAR
        and other[1] <= rule[3] + NEAR
    )


def _merged(places: Iterable[float]) -> tuple[float, ...]:
    """Return the places in order, those of one line once."""
    merged: list[float] = []
    for place in sorted(places):
        if not merged or place - merged[-1] > NEAR:
            merged.append(place)
    return tuple(merged)


def _rows(table: Ruled, pieces: Sequence[Piece], heads: Heads) -> list[str] | None:
    """Return the table's rows as statements; None when its lines are not those of its rows."""
    height, width = len(table.down) - 1, len(table.across) - 1
    cells: dict[tuple[int, int], list[Piece]] = {}
    home = _homes(table, height, width)
    for piece in pieces:
        if place := table.place(piece):
            cells.setdefault(home[place], []).append(piece)
    texts = {place: _text(inside) for place, inside in cells.items()}
    if len({column for _, column in texts}) < 2 or any(len(text) > LONGEST_CELL for text in texts.values()):
        return None
    full = sum(_lines(inside) >= MANY_LINES for inside in cells.values())
    if height <= FEW_ROWS and full >= 2:
        return None
    rows = [[texts.get(home[row, column], "") for column in range(width)] for row in range(height)]
    titles = 0
    while titles < height - 1 and len({home[titles, column] for column in range(width)}) == 1:
        titles += 1
    below = rows[titles:]
    spanned = any(home[titles, column] == home[titles, column + 1] for column in range(width - 1))
    shown = [row[0] for row in rows[:titles] if row[0]]
    return [*shown, *heads.statements(below, 2 if spanned and len(below) > 2 else None, table.across)]


def _homes(table: Ruled, height: int, width: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Return for every cell the first cell of the merged one it belongs to."""
    home: dict[tuple[int, int], tuple[int, int]] = {}
    for row in range(height):
        for column in range(width):
            if column and not table.walled(row, column - 1):
                home[row, column] = home[row, column - 1]
            elif row and not table.floored(row - 1, column):
                home[row, column] = home[row - 1, column]
            else:
                home[row, column] = (row, column)
    return home


def _text(pieces: Sequence[Piece]) -> str:
    lines = [line for line in arrange(pieces) if line]
    return " ".join(unbroken(lines).split()) if lines else ""


def _lines(pieces: Sequence[Piece]) -> int:
    heights = sorted((piece.middle for piece in pieces), reverse=True)
    return 1 + sum(above - below > NEAR for above, below in pairwise(heights)) if heights else 0
