"""The text of a page from where its pieces stand: columns one after the other, table rows as rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.knowledge.reading.grid import Heads
from pipeline.text.sentences import rarity

Interval = tuple[float, float]
Box = tuple[float, float, float, float]
SPACE = 0.2  # least gap between words that the file does not part by a blank, in line heights
GUTTER = 0.9  # least free width between columns, in line heights
FEWEST_LINES = 3  # lines on both sides of a gutter that make columns
FAR = 4.0  # farthest a list's mark stands from its text, in line heights
MARK = re.compile(r"\s*(?:[•●▪■◦‣·–*-]|\(?\w{1,3}[.)])\s*$")  # before an item of a list
_CUT = re.compile(r"([^\W\d_]{2,})(?:[-\u2010\u00ad\x02\ufffe])$")


def turned(box: Box, degrees: int) -> Box:
    """Return a box (left, bottom, right, top) turned clockwise about the origin by a multiple of 90."""
    left, bottom, right, top = box
    for _ in range(degrees % 360 // 90):
        left, bottom, right, top = bottom, -right, top, -left
    return left, bottom, right, top


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text and its box; y grows upwards."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    value: bool = False  # what somebody filled into a form

    def turned(self, degrees: int) -> Piece:
        """Return the piece as it stands when the page is turned clockwise."""
        left, bottom, right, top = turned((self.left, self.bottom, self.right, self.top), degrees)
        return Piece(self.text, left, bottom, right, top, self.value)

    @property
    def height(self) -> float:
        return max(self.top - self.bottom, 1.0)

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class LayoutLine:
    """The cells of one line, left to right."""

    cells: tuple[Piece, ...]

    @property
    def bottom(self) -> float:
        return min(cell.bottom for cell in self.cells)

    @property
    def top(self) -> float:
        return max(cell.top for cell in self.cells)

    @property
    def height(self) -> float:
        return max(cell.height for cell in self.cells)


def arrange(pieces: Sequence[Piece], heads: Heads | None = None) -> list[str]:
    """Return the paragraphs, headings and table rows of a page in reading order; "" parts them.

    `heads` remembers those of the last table, which may go on here.
    """
    heads = heads or Heads()
    lines = _lines([piece for piece in pieces if piece.text.strip()])
    if not lines:
        return []
    usual = median(line.height for line in lines)
    texts: list[str] = []
    place = 0
    while place < len(lines):
        end, gutters = _block(lines, place, usual)
        if gutters:
            texts += ["", *_columns(lines[place:end], gutters, usual, heads), ""]
            place = end
        else:
            end = place + 1
            while end < len(lines) and not _block(lines, end, usual)[1]:
                end += 1
            texts += ["", *_flowing(lines[place:end], usual), ""]
            place = end
    return texts


def _lines(pieces: Sequence[Piece]) -> list[LayoutLine]:
    """Group pieces that stand beside each other, and join those with no gap between them."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: (-piece.middle, piece.left)):
        for row in rows[-3:]:
            overlap = min(row[0].top, piece.top) - max(row[0].bottom, piece.bottom)
            if overlap > 0.5 * min(row[0].height, piece.height):
                row.append(piece)
                break
        else:
            rows.append([piece])
    return [LayoutLine(tuple(_cells(row))) for row in rows]


def _cells(row: Sequence[Piece]) -> list[Piece]:
    cells: list[Piece] = []
    for piece in sorted(row, key=lambda piece: piece.left):
        last = cells[-1] if cells else None
        gap = piece.left - last.right if last else 0.0
        wide = gap > GUTTER * (last.height if last else 0.0) and gap > GUTTER * piece.height
        marked = last is not None and len(cells) == 1 and gap < FAR * piece.height and MARK.match(last.text)
        if last is None or (wide and not marked):
            cells.append(piece)
            continue
        space = " " if gap > SPACE * piece.height and not last.text.endswith((" ", "\x02")) else ""
        cells[-1] = Piece(
            f"{last.text}{space}{piece.text}",
            last.left,
            min(last.bottom, piece.bottom),
            max(last.right, piece.right),
            max(last.top, piece.top),
            last.value or piece.value,
        )
    return cells


def _block(lines: Sequence[LayoutLine], start: int, usual: float) -> tuple[int, list[Interval]]:
    """Return the end of the block of columns that begins at a line, and its gutters."""
    if len(lines[start].cells) < 2:
        return start + 1, []
    left = min(cell.left for line in lines[start:] for cell in line.cells)
    right = max(cell.right for line in lines[start:] for cell in line.cells)
    gutters = _free(lines[start], left, right, usual)
    end, last = start + 1, start + 1
    while end < len(lines):
        line = lines[end]
        gap = lines[end - 1].bottom - line.top
        far = gap > 2.2 * usual
        narrowed = _common(gutters, _free(line, left, right, usual, edges=True), usual)
        crossed = (
            len(line.cells) < 2 and len(narrowed) < len(gutters) and not _goes_on(lines, end, gutters, usual)
        )
        if not narrowed or crossed or (far and len(line.cells) < 2) or gap > 5 * usual:
            break
        if _ends_prose(lines[start:end], gutters, gap, usual):
            break
        gutters = narrowed
        end += 1
        if len(line.cells) > 1 or not far:
            last = end
    many = sum(len(line.cells) > 1 for line in lines[start:last])
    return (last, gutters) if many >= 2 else (start + 1, [])


def _goes_on(lines: Sequence[LayoutLine], place: int, gutters: Sequence[Interval], usual: float) -> bool:
    """Say whether the columns go on under a line that runs across them."""
    below = lines[place + 1 : place + 2]
    return any(
        len(line.cells) > len(gutters)
        and len(_common(gutters, _free(line, 0, 0, usual), usual)) == len(gutters)
        for line in below
    )


def _ends_prose(lines: Sequence[LayoutLine], gutters: Sequence[Interval], gap: float, usual: float) -> bool:
    """Say whether a gap over the whole width ends columns of running text."""
    if len(lines) < FEWEST_LINES:
        return False
    close = median(above.bottom - below.top for above, below in pairwise(lines))
    return gap > close + usual and all(map(_is_prose, _parted(lines, gutters)[1]))


def _free(line: LayoutLine, left: float, right: float, usual: float, edges: bool = False) -> list[Interval]:
    """Return the free stretches between the cells of a line; with `edges` also those beside them."""
    cells = line.cells
    free = [(cell.right, other.left) for cell, other in pairwise(cells)]
    if edges:
        free = [(left - 1, cells[0].left), *free, (cells[-1].right, right + 1)]
    return [(low, high) for low, high in free if high - low >= GUTTER * usual]


def _common(gutters: Sequence[Interval], free: Sequence[Interval], usual: float) -> list[Interval]:
    both = [(max(a, c), min(b, d)) for a, b in gutters for c, d in free]
    return [(low, high) for low, high in both if high - low >= GUTTER * usual]


def _columns(
    lines: Sequence[LayoutLine], gutters: Sequence[Interval], usual: float, heads: Heads
) -> list[str]:
    """Return a block of columns: prose column by column, a table row by row."""
    grid, columns = _parted(lines, gutters)
    if all(_is_prose(column) for column in columns):
        texts: list[str] = []
        for column in columns:
            texts += ["", *_flowing([LayoutLine(tuple(cells)) for cells in column], usual)]
        return texts
    filled_in = any(piece.value for line in lines for piece in line.cells)
    edges = tuple(min(cells[0].left for cells in column) for column in columns)
    return heads.statements(_rows(grid, lines, usual), 0 if filled_in else None, edges)


def _parted(
    lines: Sequence[LayoutLine], gutters: Sequence[Interval]
) -> tuple[list[list[list[Piece]]], list[list[list[Piece]]]]:
    """Return the cells of each line by column, and those of each column by line."""
    edges = [(low + high) / 2 for low, high in sorted(gutters)]
    grid: list[list[list[Piece]]] = []
    for line in lines:
        row: list[list[Piece]] = [[] for _ in range(len(edges) + 1)]
        for cell in line.cells:
            row[sum(cell.left > edge for edge in edges)].append(cell)
        grid.append(row)
    return grid, [[row[place] for row in grid if row[place]] for place in range(len(edges) + 1)]


def _is_prose(column: Sequence[Sequence[Piece]]) -> bool:
    """Say whether a column holds running text: several lines, most of them filled with words."""
    if len(column) < FEWEST_LINES:
        return False
    widths = [cells[-1].right - cells[0].left for cells in column]
    texts = [" ".join(cell.text for cell in cells) for cells in column]
    words = median(len(text.split()) for text in texts)
    return median(widths) >= 0.7 * max(widths) and words >= 3 and median(map(len, texts)) >= 14


def _rows(
    grid: Sequence[Sequence[Sequence[Piece]]], lines: Sequence[LayoutLine], usual: float
) -> list[list[str]]:
    """Return the table's rows; a line that only goes on a cell of the row above is joined to it."""
    rows: list[list[str]] = []
    for number, row in enumerate(grid):
        cells = [" ".join(piece.text.strip() for piece in cell) for cell in row]
        filled = sum(bool(cell) for cell in cells)
        near = number > 0 and lines[number - 1].bottom - lines[number].top < 0.9 * usual
        if rows and not cells[0] and filled < len(cells) and near:
            rows[-1] = [_joined(above, cell) for above, cell in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    return rows


def _joined(above: str, below: str) -> str:
    if not above or not below:
        return above or below
    return unbroken([above, below])


def _flowing(lines: Sequence[LayoutLine], usual: float) -> list[str]:
    """Return running text: a paragraph is one text, headings stand alone."""
    texts: list[str] = []
    paragraph: list[str] = []
    gaps = [above.bottom - below.top for above, below in pairwise(lines)]
    close = median([gap for gap in gaps if gap < 1.5 * usual] or [0.0])
    for number, line in enumerate(lines):
        text = " ".join(cell.text.strip() for cell in line.cells)
        gap = gaps[number - 1] if number else 0.0
        apart = gap > close + 0.6 * usual or (
            number > 0 and abs(line.height - lines[number - 1].height) > 0.25 * usual
        )
        if apart and paragraph:
            texts += [unbroken(paragraph), ""]
            paragraph = []
        paragraph.append(text)
    if paragraph:
        texts.append(unbroken(paragraph))
    return texts


def unbroken(lines: Sequence[str]) -> str:
    """Join the lines of a paragraph; a word cut at a line's end becomes whole again."""
    text = lines[0]
    for line in lines[1:]:
        cut = _CUT.search(text)
        following = re.match(r"[^\W\d_]+", line)
        if cut and following and following.group()[0].islower():
            compound = _compound(cut.group(1), following.group())
            text = text[:-1] + ("-" if compound else "") + line
        else:
            text = f"{text}\n{line}"
    return text.replace("\x02", "-").replace("\ufffe", "-")


def _compound(before: str, after: str) -> bool:
    """Say whether the hyphen belongs to the word: both parts are common words and the whole is none."""
    whole, first, second = (rarity(word.lower()) < 1.0 for word in (before + after, before, after))
    return first and second and not whole and min(len(before), len(after)) >= 4
